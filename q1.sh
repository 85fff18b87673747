cd /work/h/photo; export PYTHONPATH=/work/h/photo
for l in 5 1; do for t in 1 2; do timeout 60 /work/main/.venv/bin/python /tmp/photo_bench.py $l $t 4 benchmarks/demo_files/coffee.png; done; done; uptime
