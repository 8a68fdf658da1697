#!/bin/bash
# Parts of nodes that others use, too: sbatch shared.sh scene.py scene.mp4
#SBATCH --job-name=rayanim
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=04:00:00
set -euo pipefail

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
export RAY_AUTH_MODE=token
# srun does not take this over from sbatch by itself, since Slurm 22.05.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
# Ray's files apart from those of others on the node. Short: paths of sockets are limited.
export RAY_TMPDIR=/tmp/rayanim-$SLURM_JOB_ID

# Ports of this job's own: 100 from a place that its number gives, below those that the
# system gives to connections.
base=$((11000 + SLURM_JOB_ID % 210 * 100))
ports=(
  --node-manager-port=$((base + 1)) --object-manager-port=$((base + 2))
  --runtime-env-agent-port=$((base + 3)) --dashboard-agent-listen-port=$((base + 4))
  --dashboard-agent-grpc-port=$((base + 5)) --metrics-export-port=$((base + 6))
  --min-worker-port=$((base + 20)) --max-worker-port=$((base + 99))
)

on_node() { # NODE COMMAND...
  srun --nodes=1 --ntasks=1 --overlap --nodelist="$1" "${@:2}"
}

on_node "$head" ray start --head --block --port="$base" --include-dashboard=false \
  --ray-client-server-port=$((base + 7)) \
  --num-cpus="$SLURM_CPUS_PER_TASK" "${ports[@]}" &
# `ray start --block` ends with the job: nothing of others is stopped.
for try in $(seq 60); do
  on_node "$head" ray status --address "$head:$base" >/dev/null 2>&1 && break
  if [ "$try" = 60 ]; then
    echo "Ray did not start on $head: see above, and $RAY_TMPDIR there." >&2
    exit 1
  fi
  sleep 2
done
for node in "${nodes[@]:1}"; do
  on_node "$node" ray start --block --address="$head:$base" \
    --num-cpus="$SLURM_CPUS_PER_TASK" "${ports[@]}" &
done

# Nodes that are not there yet are counted, too: actors wait for them.
on_node "$head" rayanim run "$1" -o "$2" --address "$head:$base" \
  --max-workers $((SLURM_JOB_NUM_NODES * SLURM_CPUS_PER_TASK))
