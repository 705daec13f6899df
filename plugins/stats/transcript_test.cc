// Runs testdata/*.txt: the plugin folds what happens to containers and adds nothing to the log.
#include "plugins/sdk/transcript.h"
#include "plugins/stats/test_plugin.h"

int main(int argc, char** argv) {
    return noded::sdk::transcript_main(argc, argv, noded::stats::prepare);
}
