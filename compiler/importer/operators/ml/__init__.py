"""Operators of classical machine learning, mostly of domain ai.onnx.ml, as scikit-learn's exporter writes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.operators.ml.arrayfeatureextractor import ArrayFeatureExtractor
from hecc.compiler.importer.operators.ml.cdist import CDist
from hecc.compiler.importer.operators.ml.featurevectorizer import FeatureVectorizer
from hecc.compiler.importer.operators.ml.imputer import Imputer
from hecc.compiler.importer.operators.ml.linearclassifier import LinearClassifier
from hecc.compiler.importer.operators.ml.linearregressor import LinearRegressor
from hecc.compiler.importer.operators.ml.scaler import Scaler
from hecc.compiler.importer.operators.ml.svmclassifier import SVMClassifier
from hecc.compiler.importer.operators.ml.svmregressor import SVMRegressor

__all__ = ["CONTRIBUTED_CONVERTERS", "ML", "ML_CONVERTERS"]

ML = "ai.onnx.ml"

ML_CONVERTERS: Mapping[str, type[Converter]] = MappingProxyType(
    {
        converter.__name__: converter
        for converter in (
            ArrayFeatureExtractor,
            FeatureVectorizer,
            Imputer,
            LinearClassifier,
            LinearRegressor,
            SVMClassifier,
            SVMRegressor,
            Scaler,
        )
    }
)
"""The converter of every operator of the domain that can act on encrypted data."""

CONTRIBUTED_CONVERTERS: Mapping[str, type[Converter]] = MappingProxyType({CDist.__name__: CDist})
"""The same of onnxruntime's own domain, com.microsoft."""
