"""Writes cp936.txt: every pair of code page 936, from tables that share nothing with the product's.

Python's codec `gbk` says the characters, the C library's iconv (CP936) must say the same of every pair.
Run: python3 make.py > cp936.txt
"""

import subprocess

HOLE = "\ufffd"
print("# Code page 936, both ways. A line for each first byte: its hexadecimal value, then the characters of the second")
print("# bytes 40 to FE in order, U+FFFD where there is none. Made by make.py: Python's codec and iconv agree on it.")
for lead in range(0x81, 0xFF):
    characters = ""
    for trail in range(0x40, 0xFF):
        pair = bytes([lead, trail])
        try:
            character = pair.decode("gbk")
        except UnicodeDecodeError:
            character = HOLE
        characters += character
        if character == HOLE:
            run = subprocess.run(["iconv", "-f", "CP936", "-t", "UTF-8"], input=pair, capture_output=True)
            other = run.stdout.decode() if run.returncode == 0 else HOLE
            assert other == character, (pair, character, other)
    assert len(characters) == 191, lead
    whole = b"".join(c.encode("gbk") for c in characters if c != HOLE)
    run = subprocess.run(["iconv", "-f", "CP936", "-t", "UTF-8"], input=whole, capture_output=True, check=True)
    assert run.stdout.decode() == characters.replace(HOLE, ""), lead
    print(f"{lead:02x} {characters}")
