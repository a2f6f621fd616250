"""The confusion report as a page: any bundle on any labelled posts, filtered, beside another bundle, down to each post.

`sources` is what can be read, `scorings` what a bundle said of it, `where` which posts are looked at, `report` and
`flips` the figures (all of them `evaluation`'s), `charts` how they are drawn, `page` the addresses.
"""
