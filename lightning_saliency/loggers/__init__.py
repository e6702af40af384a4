"""One adapter per logger: pictures on their way to a front-end."""
