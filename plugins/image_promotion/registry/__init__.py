"""The OCI distribution protocol: references, manifests, and the registries that hold them.

It knows digests, descriptors, manifests, tags, blobs and how they travel from one store to another;
it knows nothing of promotion, policies, evidence or Airflow, and imports ``errors`` alone. Its
rules are those of the OCI Distribution Specification 1.1, the OCI Image Specification 1.1, Docker's
"Image Manifest Version 2, Schema 2", and the ``reference`` grammar of CNCF distribution.

``digest``, ``reference``, ``descriptor``, ``manifest``, ``document`` and ``endpoint`` hold values
and do no I/O; ``store`` is the Protocol of anything that holds images, and ``opening`` makes one
from an endpoint. ``client`` is a store over HTTP, on top of ``session``, ``auth``, ``retry``,
``pace`` and ``failures``, with ``downloads`` and ``delivery`` for blobs whose connections break;
``products`` is what DTR, Docker Hub and Harbor offer besides; ``layout`` is a store in a folder.
``transfer``, with ``passage`` and ``arrivals``, brings an image from one store to another,
``referrers`` and ``referrer_transfer`` what is attached to it, and ``platforms`` a part of it.
"""
