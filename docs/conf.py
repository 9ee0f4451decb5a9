"""Configure the documentation site: ``sphinx-build -W docs site`` builds it, warnings are errors."""

import routeware

project = "routeware"
author = "the routeware authors"
copyright = author  # noqa: A001 - the name that Sphinx looks for
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "routeware"
html_show_sphinx = False

# Headings are linked to by the names that a repository's page view gives them, so links work in both places.
myst_heading_anchors = 4
myst_links_external_new_tab = False

# The reference is made from docstrings and signatures; attrs fields are described in their class's "Attributes".
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_mock_imports = ["pytest"]  # the tests for ledgers are described here, not run
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
add_module_names = False

# The console prompt is not part of what is copied.
copybutton_prompt_text = "$ "

assert routeware.__doc__ is not None
description = routeware.__doc__
