"""The report: a plan on one page, of templates and charts."""

from hecc.runtime.extras import require

require("jinja2", "matplotlib", "networkx")
