"""The risk monitor's page: is the promise broken, by automatic answers that were drawn by lot and read by people?

`state` is what follows from them, `charts` the diagrams, `page` the addresses. Which answers were drawn and what people
say of them is `serving.journal.draws`, the test `models.promise`; the alarm without a page is `serving.risk`.
"""
