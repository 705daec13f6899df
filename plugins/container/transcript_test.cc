// Runs testdata/*.txt: what the plugin decides and folds, with shims that never answer.
#include "plugins/container/test_plugin.h"
#include "plugins/sdk/transcript.h"

int main(int argc, char** argv) {
    return noded::sdk::transcript_main(argc, argv, noded::container::prepare);
}
