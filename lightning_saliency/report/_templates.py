"""Pages from templates, in which every value is escaped."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Return a page with values filled in: text is escaped, `markupsafe.Markup` is taken as it is.

    Args:
        template: File name in the folder `templates`.
        values: Values by their names in the template.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("lightning_saliency.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
