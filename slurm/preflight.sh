#!/bin/bash
# Is this node fit to train? slurm/pretrain.sbatch runs it on every node of a job, one task a node, before the ranks:
#
#     srun --ntasks-per-node=1 slurm/preflight.sh RUN_FOLDER
#
# Prints one line, `OK NODE ...` or `BAD NODE reason`, and exits with 0 or 1. A check that hangs counts as failed.
#
# Environment, all optional:
#   PYTHON           the interpreter that must import torch               (default .venv/bin/python)
#   CONTAINER        words to run it behind, as in slurm/pretrain.sbatch
#   MASTER_ADDR      a name that must resolve
#   PREFLIGHT_MARK   what RUN_FOLDER/.preflight must hold: the batch host wrote it, and this node sees the same folder
#   PREFLIGHT_CLOCK  the batch host's time in seconds since 1970
#   PREFLIGHT_GPUS   GPUs that nvidia-smi must show                       (default: as many as Slurm gave the job here)
#   PATIENCE         seconds that one check may take                      (default 30)
#   MINIMUM_FREE_GB=20 MINIMUM_SHM_MB=1024 MAXIMUM_GPU_MB=1000 MAXIMUM_GPU_CELSIUS=80 MAXIMUM_CLOCK_SECONDS=60
set -u

folder=${1:?usage: slurm/preflight.sh RUN_FOLDER}
node=${SLURMD_NODENAME:-$(hostname)}
patience=${PATIENCE:-30}
bad() {
    echo "BAD $node $*"
    exit 1
}

# The file system: this node writes there, reads back what it wrote, sees what the batch host wrote, and there is room.
probe=$folder/.preflight.$node.$$
trap 'rm -f "$probe"' EXIT
# shellcheck disable=SC2016 # $1 is the inner shell's
timeout "$patience" sh -c 'head -c 1048576 /dev/urandom | tee "$1" | cksum >"$1.sum" && sync "$1" &&
    cksum <"$1" | cmp -s - "$1.sum"; good=$?; rm -f "$1.sum"; exit $good' - "$probe" 2>/dev/null ||
    bad "cannot write 1 MB to $folder and read it back within $patience s"
if [ -n "${PREFLIGHT_MARK:-}" ]; then
    # shellcheck disable=SC2016
    timeout "$patience" sh -c 'until [ "$(cat "$1" 2>/dev/null)" = "$2" ]; do sleep 1; done' - \
        "$folder/.preflight" "$PREFLIGHT_MARK" || bad "$folder is not the folder that the batch host has there"
fi
free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1048576) }')
[ "$free" -ge "${MINIMUM_FREE_GB:-20}" ] || bad "only $free GB free at $folder"
shared_memory=$(df -Pm /dev/shm | awk 'NR == 2 { print $4 }')
[ "$shared_memory" -ge "${MINIMUM_SHM_MB:-1024}" ] || bad "only $shared_memory MB free in /dev/shm: NCCL and workers need it"

# The network and the clock.
[ -z "${MASTER_ADDR:-}" ] || timeout "$patience" getent hosts "$MASTER_ADDR" >/dev/null || bad "cannot resolve $MASTER_ADDR"
if [ -n "${PREFLIGHT_CLOCK:-}" ]; then
    late=$(($(date +%s) - PREFLIGHT_CLOCK))
    [ "${late#-}" -le "${MAXIMUM_CLOCK_SECONDS:-60}" ] || bad "its clock is off by $late s"
fi

# The GPUs: all there, nobody else's memory on them, no error that memory could not mend, not hot before the start.
wanted=${PREFLIGHT_GPUS:-${SLURM_GPUS_ON_NODE:-0}}
if [ "$wanted" -gt 0 ]; then
    query=index,memory.used,temperature.gpu,ecc.errors.uncorrected.volatile.total
    seen=$(timeout "$patience" nvidia-smi --query-gpu=$query --format=csv,noheader,nounits 2>/dev/null) || bad "nvidia-smi failed or hung"
    count=$(grep -c . <<<"$seen")
    [ "$count" -ge "$wanted" ] || bad "$count GPUs instead of $wanted"
    while IFS=', ' read -r index used celsius errors; do
        [ "$used" -le "${MAXIMUM_GPU_MB:-1000}" ] || bad "GPU $index has $used MB in use before the start"
        [ "$celsius" -le "${MAXIMUM_GPU_CELSIUS:-80}" ] || bad "GPU $index is at $celsius °C before the start"
        case $errors in
            0 | *N/A*) ;;
            *) bad "GPU $index has $errors uncorrected memory errors" ;;
        esac
    done <<<"$seen"
fi

# The software. The first import reads gigabytes from a shared file system: minutes on a busy one.
# shellcheck disable=SC2086 # CONTAINER is words
failure=$(timeout $((10 * patience)) ${CONTAINER:-} "${PYTHON:-.venv/bin/python}" -c 'import torch' 2>&1) ||
    bad "cannot import torch: $(tail -n 1 <<<"${failure:-it takes too long}")"
echo "OK $node $wanted GPUs, $free GB free, $shared_memory MB of shared memory"
