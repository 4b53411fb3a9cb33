"""Texts that may be numbers."""


def is_number(text: str) -> bool:
    """Whether Python reads a number from it; `nan` and `inf` are some."""
    try:
        float(text)
    except ValueError:
        return False
    return True
