"""The report: a plan on one page, of templates and charts."""
