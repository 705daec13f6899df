// Runs transcripts/*.txt: what storage decides, and what follows, on a disk in memory.
#include "agent/base/check.h"
#include "plugins/sdk/transcript.h"
#include "plugins/storage/test_plugin.h"

int main(int argc, char** argv) {
    noded::storage::FakeDisk disk;
    noded::storage::test_disk = &disk;
    return noded::sdk::transcript_main(argc, argv, [&](noded::sdk::FakeHost& host) {
        disk = {};
        CHECK(host.load(&noded::storage::test_table).empty());
        // After the load, whose sweep would have taken them.
        disk.layers = {noded::storage::fake_digest("a"), noded::storage::fake_digest("b")};
        noded::storage::know_containers(host);
    });
}
