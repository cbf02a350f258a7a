"""A page read as Markdown, and its parts as data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport_shared.errors import HomeportError
from homeport_web import elements
from homeport_web.reading import read

ADDRESS = "https://garden.example/guide/beans.html"
TEXT = "Beans are sown in May, once the nights are warm. " * 8
PAGE = f"""<!doctype html><html lang="en-GB"><head><title>Beans</title>
<meta name="author" content="Ann Green"><meta property="og:site_name" content="Garden"></head>
<body><nav><a href="/">Home</a></nav><article><h1>Beans</h1><p>{TEXT}</p></article></body></html>"""


def test_a_page_is_read_with_what_it_says_of_itself() -> None:
    page = read(PAGE.encode(), ADDRESS, "text/html", "utf-8")
    assert (page.title, page.language, page.site, page.media_type) == ("Beans", "en-GB", "Garden", "text/html")
    assert "sown in May" in page.text
    assert page.html == PAGE
    assert page.warnings == []


def test_a_page_that_nobody_calls_one_is_still_read_as_one() -> None:
    assert "sown in May" in read(PAGE.encode(), ADDRESS, "", "").text
    assert read(PAGE.encode(), ADDRESS, "text/plain", "").media_type == "text/html"


def test_a_page_of_little_text_shows_all_of_it_and_says_why_there_is_not_more() -> None:
    page = read(b"<html><body><p>Only this.</p><script>app()</script></body></html>", ADDRESS, "text/html", "")
    assert page.text == "Only this."
    assert page.warnings == ["The page shows little text without its scripts, which are not run."]


def test_the_charset_of_the_server_holds() -> None:
    assert read("naïve".encode("utf-16-le"), ADDRESS, "text/plain", "utf-16-le").text == "naïve"


@pytest.mark.parametrize(
    ("media_type", "data", "text"),
    [("text/csv", b"a,b\n1,2\n", "1"), ("application/json", b'{"a": 1}', '"a"'), ("", b"plain words", "plain words")],
)
def test_a_document_is_read_as_what_the_server_calls_it(media_type: str, data: bytes, text: str) -> None:
    page = read(data, "https://garden.example/", media_type, "")
    assert (text in page.text, page.html) == (True, "")


def test_a_document_without_text_says_so() -> None:
    assert read(b"  \n", "https://garden.example/empty.txt", "text/plain", "").warnings == ["empty.txt holds no text."]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(HomeportError, match="is image/png, not text") as refused:
        read(b"\x89PNG", ADDRESS, "image/png", "")
    assert refused.value.code == "unsupported"


def test_each_link_is_told_once_with_its_text() -> None:
    html = """<base href="/shop/"><a href="seeds?x=1#top">Seeds</a><a href="seeds?x=1">again</a>
    <a href="" title="here">here</a><a href="mailto:a@b.example">mail</a><a href="http://[half">broken</a>
    <a href="https://other.example/" title="Other"></a><a href="javascript:go()">go</a>"""
    assert elements.links(html, ADDRESS) == [
        {"text": "Seeds", "url": "https://garden.example/shop/seeds?x=1"},
        {"text": "here", "url": "https://garden.example/shop/"},
        {"text": "Other", "url": "https://other.example/"},
    ]


def test_the_innermost_tables_are_rows_of_texts() -> None:
    html = """<table><caption>Prices</caption><tr><th>Seed</th><th>Price</th></tr><tr><td>Bean</td><td>3</td></tr>
    </table><table><tr><td><table><tr><td>inner</td></tr></table></td></tr></table><table><tr><td></td></tr></table>"""
    assert elements.tables(html, ADDRESS) == [
        {"caption": "Prices", "rows": [["Seed", "Price"], ["Bean", "3"]]},
        {"caption": "", "rows": [["inner"]]},
    ]


def test_a_selector_chooses_elements_and_scripts_are_none_of_them() -> None:
    html = '<h2 id="a">One <b>two</b></h2><script>h2()</script>'
    assert elements.elements(html, ADDRESS, "h2") == [{"tag": "h2", "text": "One two", "attributes": {"id": "a"}}]
    assert elements.elements(html, ADDRESS, "script") == []
    with pytest.raises(HomeportError, match="is no CSS selector"):
        elements.elements(html, ADDRESS, "h2 >>> [")


@given(st.text(alphabet="<>/ab\"'=&;![]- \n\u202e", max_size=200))
def test_no_page_makes_the_reader_fail(html: str) -> None:
    assert elements.links(html, ADDRESS) is not None
    assert elements.tables(html, ADDRESS) is not None
    read(f"<html><body>{html}".encode(), ADDRESS, "text/html", "utf-8")
