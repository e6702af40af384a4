"""An extension of griffe, which reads the docstrings."""

from typing import Any

from griffe import Extension, Object


class ExampleSections(Extension):
    """Take the section `Example:` of a docstring for code, as griffe does with `Examples:`."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rename the section."""
        if obj.docstring is not None:
            lines = obj.docstring.value.split("\n")
            obj.docstring.value = "\n".join("Examples:" if line.strip() == "Example:" else line for line in lines)
