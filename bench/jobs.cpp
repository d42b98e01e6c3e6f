#include "jobs.hpp"

#include "job_data.hpp"

namespace rtl::bench {

const std::vector<JobMaker>& all_jobs() {
  static const std::vector<JobMaker> jobs = {{"resnet20_features", resnet20_features},
                                             {"resnet20_train", resnet20_train},
                                             {"mlp_head", mlp_head},
                                             {"mlp_head_20_seeds", mlp_head_20_seeds},
                                             {"resnet20_features_bf16", resnet20_features_bf16},
                                             {"resnet20_train_bf16", resnet20_train_bf16},
                                             {"mlp_head_bf16", mlp_head_bf16},
                                             {"mlp_head_20_seeds_bf16", mlp_head_20_seeds_bf16},
                                             {"transformer_train", transformer_train},
                                             {"transformer_train_bf16", transformer_train_bf16},
                                             {"lite0_features", lite0_features, lite0_missing},
                                             {"lite0_features_bf16", lite0_features_bf16, lite0_missing},
                                             {"lite0_features_96", lite0_features_96, lite0_missing},
                                             {"lite0_features_96_bf16", lite0_features_96_bf16, lite0_missing},
                                             {"minilm_sentences", minilm_sentences, minilm_missing},
                                             {"minilm_sentences_bf16", minilm_sentences_bf16, minilm_missing},
                                             {"ridge_path", ridge_path},
                                             {"ridge_path_f32", ridge_path_f32},
                                             {"ridge_heads", ridge_heads},
                                             {"ridge_heads_loop", ridge_heads_loop},
                                             {"transfer_main_job", transfer_main_job}};
  return jobs;
}

}  // namespace rtl::bench
