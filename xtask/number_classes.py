#!/usr/bin/env python3
"""Writes the table of number classes, and numbers to test it with, from libphonenumber's metadata.

    pip install phonenumbers==9.0.43
    python3 xtask/number_classes.py table   > switch/src/numbers/classes.txt
    python3 xtask/number_classes.py samples > switch/tests/number_classes.txt

The metadata is libphonenumber's (Apache-2.0, see NOTICE), as the Python package ships it. `samples N`
draws N numbers a pattern instead of 2, and as many that are near to one.
"""

import random
import re._parser as reader
import sys

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberType

# libphonenumber asks in this order; the first that matches is the class of a number.
CLASSES = [
    ("premium", "premium_rate", PhoneNumberType.PREMIUM_RATE),
    ("toll_free", "toll_free", PhoneNumberType.TOLL_FREE),
    ("shared_cost", "shared_cost", PhoneNumberType.SHARED_COST),
    ("voip", "voip", PhoneNumberType.VOIP),
    ("personal", "personal_number", PhoneNumberType.PERSONAL_NUMBER),
    ("pager", "pager", PhoneNumberType.PAGER),
    ("uan", "uan", PhoneNumberType.UAN),
    ("voicemail", "voicemail", PhoneNumberType.VOICEMAIL),
    ("fixed", "fixed_line", PhoneNumberType.FIXED_LINE),
    ("mobile", "mobile", PhoneNumberType.MOBILE),
]
WORDS = {kind: word for word, _, kind in CLASSES}
WORDS[PhoneNumberType.FIXED_LINE_OR_MOBILE] = "fixed_or_mobile"


def regions():
    """(calling code, region, metadata) in the order in which libphonenumber looks for a region."""
    for code in sorted(COUNTRY_CODE_TO_REGION_CODE):
        for region in COUNTRY_CODE_TO_REGION_CODE[code]:
            if region == "001":
                yield code, region, PhoneMetadata.metadata_for_nongeo_region(code)
            else:
                yield code, region, PhoneMetadata.metadata_for_region(region)


def patterns(metadata):
    for word, field, _ in CLASSES:
        described = getattr(metadata, field)
        if described is not None and described.national_number_pattern not in (None, "NA"):
            yield word, described.national_number_pattern


def table():
    print(f"# From libphonenumber {phonenumbers.__version__} by xtask/number_classes.py; see NOTICE.")
    for code, region, metadata in regions():
        print(f"{code} {region} {metadata.leading_digits or '-'}")
        print(f" any {metadata.general_desc.national_number_pattern}")
        for word, pattern in patterns(metadata):
            print(f" {word} {pattern}")


def draw(parsed, chance):
    """A random text that a parsed pattern matches."""
    text = ""
    for kind, value in parsed:
        name = str(kind)
        if name == "LITERAL":
            text += chr(value)
        elif name == "IN":
            choices = []
            for inner, what in value:
                if str(inner) == "LITERAL":
                    choices.append(chr(what))
                elif str(inner) == "RANGE":
                    choices += [chr(c) for c in range(what[0], what[1] + 1)]
                else:
                    choices += list("0123456789")
            text += chance.choice(choices)
        elif name == "BRANCH":
            text += draw(chance.choice(value[1]), chance)
        elif name == "SUBPATTERN":
            text += draw(value[3], chance)
        elif name == "MAX_REPEAT":
            least, most, inner = value
            for _ in range(chance.randint(least, most)):
                text += draw(inner, chance)
        else:
            raise ValueError(f"nothing is known of {name}")
    return text


def classified(number):
    try:
        parsed = phonenumbers.parse("+" + number)
    except phonenumbers.NumberParseException:
        return None
    # A number that libphonenumber would mend is not asked for: what we have is E.164.
    if phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) != "+" + number:
        return None
    region = phonenumbers.region_code_for_number(parsed)
    word = WORDS.get(phonenumbers.number_type(parsed))
    return f"{word} {region}" if word and region else "- -"


def samples(count):
    chance = random.Random(1)
    seen = {}
    for code, _, metadata in regions():
        for _, pattern in patterns(metadata):
            parsed = reader.parse(pattern)
            for _ in range(count):
                number = f"{code}{draw(parsed, chance)}"
                place = chance.randrange(len(str(code)), len(number))
                near = number[:place] + chance.choice("0123456789") + number[place + 1 :]
                near = chance.choice([near, near[:-1], near + "0"])
                for drawn in (number, near):
                    if (found := classified(drawn)) is not None:
                        seen[drawn] = found
    for number in sorted(seen):
        print(number, seen[number])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["table"]:
            table()
        case ["samples", *count]:
            samples(int(count[0]) if count else 2)
        case _:
            sys.exit(__doc__)
