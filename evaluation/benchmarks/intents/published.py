"""What others printed for the same sets, each figure with its source. Owns no figure of ours."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A figure in per cent, as printed."""

    set: str
    who: str
    accuracy: str
    out_of_scope_recall: str
    source: str


PUBLISHED = (
    Published("banking77", "BERT-large, fine-tuned", "93.66", "", "Casanueva et al. 2020, arXiv 2003.04807"),
    Published("banking77", "ConvFiT (RoBERTa)", "94.16", "", "Vulić et al. 2021, arXiv 2109.10126"),
    Published("banking77-10shot", "RoBERTa, fine-tuned", "84.3", "", "Zhang et al. 2021, arXiv 2109.06349"),
    Published("banking77-10shot", "CPFT (RoBERTa)", "87.2", "", "Zhang et al. 2021, arXiv 2109.06349"),
    Published("clinc150", "BERT-large, threshold", "96.2", "52.3", "Larson et al. 2019, arXiv 1909.02027"),
    Published("clinc150", "ConvFiT (RoBERTa)", "97.3", "", "Vulić et al. 2021, arXiv 2109.10126"),
    Published("hint3", "four platforms and BERT, threshold 0.5", "", "26 to 42", "Arora et al. 2020, arXiv 2009.13833"),
)
