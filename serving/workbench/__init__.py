"""The QA workbench: the pages under `/qa` on which people read the confusion and correct it. Group `workbench`.

Of `serving`, this sub-package alone may import `evaluation`, so that a page shows the figures of the file report and no
others (docs/decisions/0034). The server imports `mount` alone; the rest is loaded when a page is first asked for.
"""
