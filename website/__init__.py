"""Parts of the site that are made when it is built: pages from docstrings, pictures, links into the repository."""
