"""Pages are well-formed, hold nothing from elsewhere, and show text as text."""

import re

import made
import pytest

from zoo.analysis.runs import page


def written(tmp_path, *contents, title="a title"):
    path = tmp_path / "page.html"
    path.write_text(page.document(title, page.paragraph("lead"), [page.section("part", *contents)]), encoding="utf-8")
    return made.Page(path)


def test_a_page_stands_alone(tmp_path):
    found = written(tmp_path, page.paragraph("words"))
    found.check_alone()
    assert found.text["h1"] == found.text["title"] == "a title"
    assert found.text["h2"] == "part"
    assert found.text["p"] == "leadwords"
    assert "prefers-color-scheme: dark" in found.text["style"]


@pytest.mark.parametrize("text", ["<b>bold</b>", "a & b", "'\"", "</td></section>", "&lt;"])
def test_text_stays_text(tmp_path, text):
    table = page.table((text,), [(text,), (page.element("code", text),)], label=text)
    found = written(tmp_path, text, page.paragraph(text), table, page.element("div", text, title=text), title=text)
    assert "b" not in found.text
    assert found.text["p"] == f"lead{text}"
    assert found.tables == {text: [[text], [text], [text]]}
    assert found.text["h1"] == text


def test_numbers_are_marked(tmp_path):
    found = page.table(("name", "value"), [("one", 1)], label="numbers", numbers=(1,))
    assert '<td class="number">1</td>' in found
    assert "<td>one</td>" in found


def test_code_of_markdown_is_code(tmp_path):
    found = written(tmp_path, page.marked("Keras `fit <b>` and `x` & <i>"), page.marked("a ` alone"))
    assert found.text["code"] == "fit <b>x"
    assert found.text["section"] == "partKeras fit <b> and x & <i>a ` alone"


def test_many_columns_of_text_are_not_squeezed():
    found = page.table(("a", "b", "c", "d"), [("one", "two", 3, 4)], label="words", numbers=(2, 3))
    assert found.count('<td class="text">') == found.count('<td class="number">') == 2
    assert "td.text { min-width: 10rem; }" in page.STYLE


def test_a_grid_beside_a_picture_may_be_narrower_than_its_cells():
    """Else half of the candidates of an episode lie outside of a phone."""
    (rule,) = re.findall(r"^\.candidates \{(.*?)\}", page.STYLE, re.MULTILINE | re.DOTALL)
    assert "min-width: 0;" in rule


def test_an_example_is_named_by_its_file_or_its_number(tmp_path):
    found = written(tmp_path, page.pictured(page.element("div"), "words", page.example("a/<b>.png")))
    assert found.text["figcaption"] == "wordsa/<b>.png"
    assert found.text["code"] == "a/<b>.png"
    assert page.example("17") == "example 17"


def test_a_figure_that_is_too_wide_for_a_phone_scrolls_and_can_have_the_focus():
    narrow, wide = (page.plot(f'<svg viewBox="0 0 {points} 90">', "alt") for points in (259.2, 540))
    assert "tabindex" not in narrow
    assert 'class="scroll" tabindex="0"' in wide
    assert 'style="--points: 540"' in wide


def test_the_balance_of_tags_is_seen(tmp_path):
    with pytest.raises(AssertionError):
        written(tmp_path, page.Markup("<p>never closed"))
