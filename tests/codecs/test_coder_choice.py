"""A coder that is clearly behind twice in a row is not tried again."""

from nerfstudio_mvc.codecs.lmvic.learned.coder_choice import CoderChoice


def test_all_are_tried_while_they_are_close():
    choice = CoderChoice(("a", "b"))
    for _ in range(5):
        assert choice.names() == ["a", "b"]
        choice.note({"a": 100.0, "b": 104.0})


def test_one_that_is_behind_twice_in_a_row_is_left_out():
    choice = CoderChoice(("a", "b"))
    choice.note({"a": 120.0, "b": 100.0})
    choice.note({"a": 100.0, "b": 100.0})  # once is forgotten
    choice.note({"a": 120.0, "b": 100.0})
    assert choice.names() == ["a", "b"]
    choice.note({"a": 106.0, "b": 100.0})
    assert choice.names() == ["b"]
    choice.note({"b": 500.0})
    assert choice.names() == ["b"]
