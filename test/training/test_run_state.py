# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from seem_ros.training.run_state import half_precision


@pytest.mark.parametrize("able", [True, False])
def test_a_cpu_trains_in_bfloat16_only_where_it_computes_in_it(monkeypatch, able):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: able)
    with half_precision(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is (torch.bfloat16 if able else torch.float32)


def test_a_gpu_trains_in_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    assert half_precision(torch.device("cuda"))._enabled
