"""The vector index beside hnswlib, faiss and usearch, in one run on one machine.

Vectors lie as a CLIP model's do: Zipf clusters, a spectrum that falls by a power
law, and text queries around another mean than the pictures'. Everybody builds with
M 16 and ef_construction 200, by two threads, and answers one query after the other
on one thread. Recall is counted here, from the rows that each answers with. A
figure at a recall is interpolated between two ef_search. Peers are asked before and
after, since a machine is seldom as quick twice.

Usage: peers.py CLIPSEARCH BENCH [N [SEED]]
"""
import json
import os
import subprocess
import sys
import tempfile
import time

import faiss
import hnswlib
import numpy as np
from usearch.index import Index

DIM, QUERIES, K = 512, 1000, 10
EFS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400, 600)


def unit(a):
    return (a / np.linalg.norm(a, axis=1, keepdims=True)).astype(np.float32)


def generate(n, seed):
    """Returns n vectors, and queries that are like texts and like pictures."""
    rng = np.random.default_rng(seed)
    spectrum = (np.arange(1, DIM + 1) ** -0.5).astype(np.float32)
    draw = lambda *shape: rng.standard_normal(shape, np.float32) * spectrum
    centres, (images, texts) = draw(2000, DIM), draw(2, DIM)
    chance = np.arange(1, 2001) ** -0.7
    chance /= chance.sum()
    cloud = lambda k: centres[rng.choice(2000, k, p=chance)] + np.float32(0.8) * draw(k, DIM)
    return unit(cloud(n) + images), {"text": unit(cloud(QUERIES) + 0.11 * images + 1.1 * texts), "image": unit(cloud(QUERIES) + images)}


class Hnswlib:
    def build(self, x):
        self.index = hnswlib.Index("ip", DIM)
        self.index.init_index(len(x), M=16, ef_construction=200, random_seed=1)
        self.index.set_num_threads(2)
        self.index.add_items(x)
        self.index.set_num_threads(1)

    def ask(self, ef, q):
        self.index.set_ef(ef)
        return self.index.knn_query(q, K)[0]


class Faiss:
    def build(self, x):
        faiss.omp_set_num_threads(2)
        self.index = faiss.IndexHNSWFlat(DIM, 16, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = 200
        self.index.add(x)
        faiss.omp_set_num_threads(1)

    def ask(self, ef, q):
        self.index.hnsw.efSearch = ef
        return self.index.search(q, K)[1]


class Usearch:
    def build(self, x):
        self.index = Index(ndim=DIM, metric="ip", dtype="f32", connectivity=16, expansion_add=200)
        self.index.add(np.arange(len(x)), x, threads=2)

    def ask(self, ef, q):
        self.index.expansion_search = ef
        return self.index.search(q, K, threads=1).keys


def recall(rows, truth):
    return float(np.mean([len(set(a) & set(b)) for a, b in zip(rows.tolist(), truth.tolist())])) / K


def sweep(peer, q, truth):
    """Returns (recall, queries a second) for each ef."""
    points = []
    for ef in EFS:
        start = time.time()
        rows = peer.ask(ef, q)
        points.append((recall(rows, truth), len(q) / (time.time() - start)))
    return points


def at(level, points):
    """Returns the queries a second at a recall, 0 if it is not reached."""
    points = sorted(points)
    i = next((i for i, (r, _) in enumerate(points) if r >= level), None)
    if i is None:
        return 0.0
    if i == 0:
        return points[0][1]
    (r0, v0), (r1, v1) = points[i - 1 : i + 1]
    return float(np.exp(np.interp(level, (r0, r1), (np.log(v0), np.log(v1)))))


class Bench:
    def __init__(self, binary, coder, folder):
        self.binary, self.coder, self.folder = binary, coder, folder

    def file(self, name):
        return os.path.join(self.folder, name)

    def run(self, command, queries, *flags):
        """Runs a command over the files; returns its report and the rows it found."""
        out = subprocess.run(
            [*command, "--vectors", self.file("x.npy"), "--query-vectors", self.file(queries + ".npy"), "--results", self.file("rows.npy"), *flags],
            stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(out.stdout), np.load(self.file("rows.npy"))

    def ours(self, queries, truth, *flags):
        report, rows = self.run([self.binary, "eval", "index", "--json"], queries, *flags)
        return report, [(recall(r, truth), p["qps"]) for r, p in zip(rows, report["points"])]


def bar(what, got, sign, need):
    ok = got >= need if sign == "≥" else got <= need
    print(f"  {what:<58} {got:10.4g}   {sign} {need:<6g} {'ok' if ok else 'SHORT'}", flush=True)


def note(what, got):
    print(f"  {what:<58} {got:10.4g}", flush=True)


def both(a, b):
    """The mean rate of two measurements of the same work."""
    return 2 / (1 / a + 1 / b) if a and b else 0.0


def graphs(bench, peers, queries, truth):
    """QPS at equal recall; returns the memory a vector takes in both places."""
    ef = ("--ef-search", ",".join(map(str, EFS)), "--threads", "1")
    for kind, level, needs in (("text", 0.95, (3, 2.5, 6)), ("image", 0.99, (3, 2.5, 6))):
        q = queries[kind]
        before = {name: sweep(p, q, truth[kind]) for name, p in peers.items()}
        memory, points = bench.ours(kind, truth[kind], "--vectors-in", "memory", *ef)
        disk = bench.ours(kind, truth[kind], "--vectors-in", "disk", *ef) if kind == "text" else None
        theirs = {name: both(at(level, before[name]), at(level, sweep(p, q, truth[kind]))) for name, p in peers.items()}
        us = at(level, points)
        note(f"{kind} queries, QPS at recall@10 {level}", us)
        for (name, qps), need in zip(theirs.items(), needs):
            bar(f"  to {name} ({qps:.0f})", us / qps if qps else float("inf"), "≥", need)
        if disk:
            bar("  with vectors on disk, to hnswlib", at(level, disk[1]) / theirs["hnswlib"], "≥", 1.3)
            places = memory["bytes_per_vector"], disk[0]["bytes_per_vector"], disk[0]["mapped_bytes_per_vector"]
    return places


def exact(bench, flat, queries, truth):
    start = time.time()
    for v in queries["text"][:200]:
        flat.search(v[None], K)
    theirs = 200 / (time.time() - start)
    report, points = bench.ours("text", truth["text"], "--exact", "--threads", "1")
    bar(f"exact scan, to faiss IndexFlatIP ({theirs:.0f} QPS)", points[0][1] / theirs, "≥", 4)
    bar("  recall@10", points[0][0], "≥", 0.999)
    note("  GB/s read by the scan", report["bandwidth"]["bytes_per_second"] / 1e9)
    note("  GB/s that this machine reads by one thread", report["bandwidth"]["machine_bytes_per_second"] / 1e9)


def main():
    binary, coder = sys.argv[1:3]
    n, seed = (int(a) for a in (sys.argv[3:] + ["100000", "1"][len(sys.argv) - 3 :])[:2])
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(binary, coder, folder)
        x, queries = generate(n, seed)
        np.save(bench.file("x.npy"), x)
        flat = faiss.IndexFlatIP(DIM)
        flat.add(x)
        truth = {}
        for kind, q in queries.items():
            np.save(bench.file(kind + ".npy"), q)
            truth[kind] = flat.search(q, K)[1]
        print(f"peers: {n} vectors of {DIM} dimensions, M 16, ef_construction 200, one thread")
        peers, took = {"hnswlib": Hnswlib(), "faiss HNSWFlat": Faiss(), "usearch f32": Usearch()}, {}
        for name, peer in peers.items():
            start = time.time()
            peer.build(x)
            took[name] = time.time() - start
        peers["hnswlib"].index.save_index(bench.file("h"))
        theirs = os.path.getsize(bench.file("h")) / n
        memory, disk, mapped = graphs(bench, peers, queries, truth)
        bar("memory a vector, in memory, to hnswlib", memory / theirs, "≤", 1.2)
        bar("memory a vector, on disk, to hnswlib", disk / theirs, "≤", 0.35)
        note("  and of a mapped file, bytes", mapped)
        report, _ = bench.ours("text", truth["text"], "--ef-search", "10", "--threads", "2", "--queries", "1000")
        bar(f"build by two threads ({report['build_seconds']:.1f} s), to hnswlib ({took['hnswlib']:.1f} s)", took["hnswlib"] / report["build_seconds"], "≥", 2.5)
        note("  to faiss HNSWFlat", took["faiss HNSWFlat"] / report["build_seconds"])
        note("  to usearch f32", took["usearch f32"] / report["build_seconds"])
        exact(bench, flat, queries, truth)
        report, rows = bench.run([coder, "peer"], "text")
        for r, p in zip(rows, report["report"]["points"]):
            note(f"coder/hnsw {report['version']}, EfSearch {p['ef']} ({p['qps']:.0f} QPS): recall@10", recall(r, truth["text"]))


main()
