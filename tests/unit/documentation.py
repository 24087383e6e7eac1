"""The pages of the documentation, the generated ones among them."""

from tests.unit.stacks import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("policies/*.md"), *ROOT.glob("bench/*.md")])
