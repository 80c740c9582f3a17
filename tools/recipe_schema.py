"""Writes the JSON Schema of recipes anew from their types.

python -m tools.recipe_schema
"""

from __future__ import annotations

from pathlib import Path

from trimtab.vectors import schema
from trimtab.vectors.recipe_example import SCHEMA_FILE


def main() -> None:
    path = Path(schema.__file__).parent / SCHEMA_FILE
    path.write_text(schema.text(), encoding="utf-8", newline="\n")
    print(path)


if __name__ == "__main__":
    main()
