"""When Python looks for garbage.

While tests are loaded and collected next to nothing becomes garbage, and looking for it takes a tenth of the time.
"""

import gc

AS_USUAL = gc.get_threshold()
LOADING = (500_000, *AS_USUAL[1:])


def looks_seldom():
    """Until everything is loaded."""
    gc.set_threshold(*LOADING)


def looks_again():
    """Unless the project has chosen its own."""
    if gc.get_threshold() == LOADING:
        gc.set_threshold(*AS_USUAL)
