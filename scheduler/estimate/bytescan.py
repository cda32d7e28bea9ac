"""Compiled passes over a document's UTF-8 bytes: n-gram hashes, shapes and scripts."""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

PROJECTED: Final = 512
"""How many numbers the hashed n-grams are projected to."""

FNV_START: Final = 0xCBF29CE484222325
FNV_PRIME: Final = 0x100000001B3
MASK64: Final = (1 << 64) - 1

FUNCTION_WORDS: Final[dict[str, str]] = {
    "en": "the of and to in that is was for it with as on be at by this are from or which not",
    "de": "der die und den von zu das mit sich des auf ist im dem nicht ein eine als auch es",
    "fr": "le la les des et du en un une que qui dans pour sur est pas au avec ce par il",
    "es": "el los las de y en que del se por con una para es no su lo como al más",
    "pt": "o os as e do da em que um para com uma não na no dos por mais ao das",
    "it": "il di che e la per un è in non una sono del con si le della da al gli",
}
LANGUAGES: Final = tuple(FUNCTION_WORDS)

# Byte classes: what one ASCII byte is, and what the lead byte of a longer character is.
LETTER, UPPER, DIGIT, SPACE, NEWLINE, PUNCTUATION, SYMBOL, OTHER_ASCII = range(8)
LATIN, GREEK_CYRILLIC, SEMITIC, INDIC, HAN, KANA_HANGUL, OTHER_WIDE, ASTRAL = range(8, 16)
CLASSES: Final = 16

# Counted beside the classes, in the same row.
WORDS, LONG_WORD_BYTES, SHORT_NUMBERS, SPACES_IN_RUNS = range(16, 20)
SCANNED: Final = 20

# Counted for the structural figures alone.
LINES, TABLE_MARKS, SENTENCES, QUESTIONS, QUOTES, DISTINCT, LONG_LINES = range(7)
SHAPES: Final = 7 + len(LANGUAGES)

SHORT_NUMBER: Final = 4
"""Digits of the longest number that is a name (a year, a section) as well as an amount."""

# Of hashes, each with the number of its occurrences in the bits of _COUNT: one look for both.
_SEEN_SLOTS: Final = 8192
_COUNT: Final = np.uint64(0xFFFF)
# Sums are whole numbers of so many steps: floats take twice as long to add here and there, and
# their sum depends on the order.
_STEPS: Final = 1 << 24
# N-grams are noted as the text is read and added in blocks of so many, in loops that the text's
# bytes do not branch: mixed with the reading they take more than twice as long.
_BLOCK: Final = 512
_NOTED_AT_ONCE: Final = 5
_STOP_SLOTS: Final = 1024


def word_hash(word: str) -> int:
    """FNV-1a (64 bits) of *word* as the scan sees it: ASCII lower case.

    The digits with which a word begins are `0`, for one amount is like another; those behind a
    letter are themselves: `B12` is not `B6`.
    """
    hashed = FNV_START
    for byte in word.encode():
        hashed = ((hashed ^ byte) * FNV_PRIME) & MASK64
    return hashed


def _stop_table() -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Open-addressed table of the function words' hashes, and which languages have each."""
    hashes = np.zeros(_STOP_SLOTS, np.uint64)
    languages = np.zeros(_STOP_SLOTS, np.uint8)
    for bit, words in enumerate(FUNCTION_WORDS.values()):
        for word in words.split():
            hashed = word_hash(word)
            slot = (hashed ^ (hashed >> 32)) % _STOP_SLOTS
            while languages[slot] and int(hashes[slot]) != hashed:
                slot = (slot + 1) % _STOP_SLOTS
            hashes[slot] = hashed
            languages[slot] |= np.uint8(1 << bit)
    return hashes, languages


def _class_table() -> NDArray[np.uint8]:
    """Class (uint8) of each ASCII byte."""
    table = np.full(128, OTHER_ASCII, np.uint8)
    for code in range(128):
        char = chr(code)
        if char.islower():
            table[code] = LETTER
        elif char.isupper():
            table[code] = UPPER
        elif char.isdigit():
            table[code] = DIGIT
        elif char == "\n":
            table[code] = NEWLINE
        elif char in " \t\r\f\v":
            table[code] = SPACE
        elif char in ".,;:!?'\"-()":
            table[code] = PUNCTUATION
        elif char.isprintable():
            table[code] = SYMBOL
    return table


STOP_HASHES, STOP_LANGUAGES = _stop_table()
ASCII_CLASS: Final = _class_table()


@njit(cache=True, inline="always")
def _mixed(hashed):  # type: ignore[no-untyped-def]
    """Finalizer of splitmix64 (Steele et al. 2014): every bit depends on every bit."""
    hashed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashed ^ (hashed >> np.uint64(31))


@njit(cache=True, inline="always")
def _note(hashed, weight, is_word, noted, block):  # type: ignore[no-untyped-def]
    """Note one n-gram in *block*, to be added with the others; how many are *noted* now."""
    hashes, weights, words = block
    hashes[noted] = hashed
    weights[noted] = weight
    words[noted] = is_word
    return noted + 1


# In three loops, which each do one thing: the processor overlaps their rounds the better for it.
@njit(cache=True, inline="always")
def _add(noted, block, sums, seen, stamp):  # type: ignore[no-untyped-def]
    """Add the *noted* n-grams to *sums*, each in four places; the c-th occurrence weighs 1/c.

    Returns how many words among them are new in this document.
    """
    hashes, weights, words = block
    for at in range(noted):
        hashes[at] = _mixed(hashes[at])
    distinct = 0
    for at in range(noted):
        mixed = hashes[at]
        slot = mixed & np.uint64(seen.shape[0] - 1)
        key = (mixed ^ stamp) & ~_COUNT
        was = seen[slot]
        count = (was & _COUNT) + np.uint64(1) if (was & ~_COUNT) == key else np.uint64(1)
        seen[slot] = key | min(count, _COUNT)
        distinct += words[at] & (count == 1)
        weights[at] = weights[at] / np.float32(count)
        hashes[at] = _mixed(mixed + np.uint64(0x9E3779B97F4A7C15))
    for at in range(noted):
        share = np.int64(weights[at] * np.float32(_STEPS))
        bits = hashes[at]
        for _ in range(4):
            # Masks, as a division takes five times as long, and half of all branches on a random
            # bit are guessed wrong: in two's complement (share ^ -1) + 1 is -share.
            sign = np.int64((bits >> np.uint64(12)) & np.uint64(1)) - np.int64(1)
            sums[bits & np.uint64(PROJECTED - 1)] += (share ^ sign) - sign
            bits >>= np.uint64(13)
    return distinct


@njit(cache=True, inline="always")
def _wide_class(lead, second):  # type: ignore[no-untyped-def]
    """Class of a character of more than one byte, from its first two bytes."""
    if lead < 0xC9:
        return LATIN
    if lead < 0xD4:
        return GREEK_CYRILLIC
    if lead < 0xE0:
        return SEMITIC
    if lead == 0xE0:
        return INDIC
    if lead >= 0xF0:
        return ASTRAL
    if lead == 0xE1:
        return OTHER_WIDE
    if lead == 0xE2:
        return OTHER_WIDE
    if lead == 0xE3:
        return KANA_HANGUL if 0x81 <= second <= 0x83 else HAN
    if lead <= 0xE9:
        return HAN
    if lead <= 0xED:
        return KANA_HANGUL
    return OTHER_WIDE


@njit(cache=True, nogil=True)
def scan_scripts(text, starts, classes, scanned):  # type: ignore[no-untyped-def]
    """Fill *scanned* (n, SCANNED) int32 for the documents between *starts* in *text*."""
    for doc in range(starts.shape[0] - 1):
        row = scanned[doc]
        # Sums without branches: where words begin and end cannot be guessed.
        word = words = long_word_bytes = numbers = spaces = 0
        was_digit = was_space = False
        at = starts[doc]
        end = starts[doc + 1]
        while at < end:
            byte = text[at]
            if byte < 0x80:
                kind = classes[byte]
                row[kind] += 1
                at += 1
            else:
                kind = _wide_class(byte, text[at + 1] if at + 1 < end else 0)
                width = 2 if byte < 0xE0 else (3 if byte < 0xF0 else 4)
                row[kind] += width
                at += width
            letter = (kind <= UPPER) | (kind == LATIN) | (kind == GREEK_CYRILLIC)
            word = (word + 1) * letter
            words += word == 1
            long_word_bytes += word > 8
            digit = kind == DIGIT
            numbers += digit & (not was_digit)
            was_digit = digit
            space = (kind == SPACE) | (kind == NEWLINE)
            spaces += space & was_space
            was_space = space
        row[WORDS] = words
        row[LONG_WORD_BYTES] = long_word_bytes
        row[SHORT_NUMBERS] = numbers
        row[SPACES_IN_RUNS] = spaces


@njit(cache=True, inline="always")
def _weight(word, stop_hashes, stop_languages, shape):  # type: ignore[no-untyped-def]
    """What a word counts; a function word counts less, and for its languages."""
    slot = (word ^ (word >> np.uint64(32))) % np.uint64(1024)
    while stop_languages[slot] and stop_hashes[slot] != word:
        slot = (slot + np.uint64(1)) % np.uint64(1024)
    if not stop_languages[slot]:
        return np.float32(1.0)
    for language in range(6):
        if (stop_languages[slot] >> language) & 1:
            shape[7 + language] += 1
    return np.float32(0.35)


@njit(cache=True, inline="always")
def _count_mark(byte, line, shape):  # type: ignore[no-untyped-def]
    """Count what ends a line (of so many characters), parts a table, asks or quotes."""
    if byte == 10:
        shape[LINES] += 1
        if line > 60:
            shape[LONG_LINES] += 1
    elif byte == 124 or byte == 9:
        shape[TABLE_MARKS] += 1
    elif byte == 63:
        shape[QUESTIONS] += 1
    elif byte == 34:
        shape[QUOTES] += 1


@njit(cache=True, nogil=True)
def scan_ngrams(text, starts, classes, stop_hashes, stop_languages, projected, shapes):  # type: ignore[no-untyped-def]
    """Fill the first PROJECTED columns of *projected* float32, and *shapes* (n, SHAPES) float32."""
    seen = np.zeros(_SEEN_SLOTS, np.uint64)
    sums = np.zeros(PROJECTED, np.int64)
    block = np.empty(_BLOCK, np.uint64), np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.uint8)
    offset = np.uint64(0xCBF29CE484222325)
    prime = np.uint64(0x100000001B3)
    for doc in range(starts.shape[0] - 1):
        stamp = _mixed(np.uint64(doc + 1))
        row = projected[doc]
        shape = shapes[doc]
        before, word, stem, number = np.uint64(0), offset, offset, offset
        three = np.uint64(0)
        length, line, noted = 0, 0, 0
        named, ended, first = False, False, True
        end = starts[doc + 1]
        for at in range(starts[doc], end + 1):
            byte = text[at] if at < end else np.uint8(10)
            kind = classes[byte] if byte < 0x80 else LETTER
            # A character of three or more bytes is a word of its own: no spaces there.
            inside = kind <= DIGIT and not (byte >= 0xE3 and length > 0)
            if not inside and length > 0:
                weight = _weight(word, stop_hashes, stop_languages, shape)
                noted = _note(word, weight, 1, noted, block)
                if first:
                    # How a document opens says what kind it is.
                    noted = _note(word + np.uint64(3), np.float32(0.5), 0, noted, block)
                    first = False
                if length > 5:
                    noted = _note(stem + np.uint64(1), np.float32(0.7), 0, noted, block)
                elif not named and length <= SHORT_NUMBER:
                    noted = _note(number + np.uint64(5), np.float32(0.5), 0, noted, block)
                if before:
                    pair = before * prime ^ word
                    noted = _note(pair, np.float32(0.6) * weight, 0, noted, block)
                before, word, stem, number = word, offset, offset, offset
                named = False
                length = 0
            if inside or byte >= 0xE3:
                low = byte
                if kind != DIGIT:
                    named = True
                    if kind == UPPER:
                        low = byte + np.uint8(32)
                elif not named:
                    number = (number ^ np.uint64(byte)) * prime
                    low = np.uint8(48)
                word = (word ^ np.uint64(low)) * prime
                length += 1
                if length <= 5:
                    stem = word
                three = ((three << np.uint64(8)) | np.uint64(low)) & np.uint64(0xFFFFFFFF)
                if length >= 4:
                    noted = _note(three + np.uint64(7), np.float32(0.45), 0, noted, block)
                ended = False
            elif at < end:
                _count_mark(byte, line, shape)
                if byte == 10:
                    line = 0
                elif (byte == 46 or byte == 33 or byte == 63) and not ended:
                    shape[SENTENCES] += 1
                    ended = True
                    before = np.uint64(0)
            line += 1
            if at == end or noted > _BLOCK - _NOTED_AT_ONCE:
                shape[DISTINCT] += _add(noted, block, sums, seen, stamp)
                noted = 0
        for place in range(PROJECTED):
            row[place] = sums[place] / np.float64(_STEPS)
            sums[place] = 0
