"""The folders in outputs/ beside those of the kinds, by name."""

CACHE = "cache"  # what can be made again: stand-ins, digests, built libraries
PLANS = "plans"  # what each matrix stood for when it was last run
TABLES = "tables"  # made of runs alone
PAGES = "pages"  # outside the run folders, whose manifests list every file
PROMOTIONS = "promotions"  # what may be claimed, and on what it rests
