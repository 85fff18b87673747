"""Accuracy schedules: how precisely each dimension is sent at each step.

A schedule owns the accuracy matrix alpha[i, d]. The paper sends every dimension with the same
accuracy at step i; here each dimension has its own, and one matrix describes the whole spectrum:

    all dimensions a little at a time     the paper, diffusion: `AccuracySchedule`
    some dimensions a little at a time    `Staggered` (text), `StaggeredWavefront` (images)
    some dimensions fully at a time       `Comb` (text), `Wavefront` (images)
    one dimension at a time               autoregression, for example `Comb(length, 1)`

Steps are counted from 0: step i takes theta_i to theta_{i+1} with accuracy alpha[i], and theta_0 is
the prior. (The paper counts from 1 and writes theta_{i-1} to theta_i with alpha_i.)
"""
