"""What is a key and what is not: one list, for every place that judges keys."""

from __future__ import annotations

# The text names the case in the output of pytest.
KEYS = {
    "a letter": "k",
    "a space": " ",
    "a no-break space": "\u00a0",
    "white space": " \t\u2003",
    "a newline": "\n",
    "a control character": "bell\x08.bin",
    "an escape sequence": "\x1b[2J",
    "a slash": "/",
    "a hyphen first": "-rf",
    "characters with a meaning in a URL": "a%2F+b?c#d&e",
    "quotes and a backslash": "'\"\\",
    "accents": "é\u202e日📦",
    "1,024 bytes of one each": "k" * 1024,
    "1,024 bytes of two each": "é" * 512,
    "1,023 bytes of three each": "日" * 341,
    "1,024 bytes of four each": "📦" * 256,
}
NOT_KEYS = {
    "nothing": "",
    "1,025 bytes of one each": "k" * 1025,
    "1,026 bytes of two each": "é" * 513,
    "1,026 bytes of three each": "日" * 342,
    "1,028 bytes of four each": "📦" * 257,
    "1,100 letters": "k" * 1100,
    "half a character": "k\ud800",
}
NOT_STRINGS: tuple[object, ...] = (None, 1, True, ["k"], {})
