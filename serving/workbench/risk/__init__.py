"""The risk monitor: is the promise broken, by automatic answers that were drawn by lot and read by people?

`stream` is which answers were drawn and what people say of them, `state` what follows, `charts` the diagrams, `page`
the addresses. The test is `evaluation.workbench.monitor`.
"""
