// requantize SOURCE TARGET TYPE: writes a GGUF file in another quantisation, q4_0 or q8_0. For tools/llama/model.
#include <cstdio>
#include <string_view>

#include "llama.h"

int main(int argc, char** argv) {
  const std::string_view type = argc == 4 ? argv[3] : "";
  if (type != "q4_0" && type != "q8_0") {
    std::fprintf(stderr, "usage: requantize SOURCE TARGET q4_0|q8_0\n");
    return 2;
  }
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  llama_backend_init();
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = type == "q4_0" ? LLAMA_FTYPE_MOSTLY_Q4_0 : LLAMA_FTYPE_MOSTLY_Q8_0;
  params.allow_requantize = true;
  if (llama_model_quantize(argv[1], argv[2], &params) != 0) {
    std::fprintf(stderr, "requantize: %s cannot be written as %s\n", argv[1], argv[3]);
    return 1;
  }
  return 0;
}
