// The plugin as it is loaded, on the real store: from an archive's bytes to directories that an
// overlay can be mounted from, and back to nothing.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "plugins/sdk/fake_host.h"
#include "plugins/sdk/quiet.h"
#include "plugins/storage/image/test_archive.h"
#include "plugins/storage/limits.h"
#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"

extern "C" const noded_plugin storage_plugin_entry;

namespace noded::storage {
namespace {

namespace fs = std::filesystem;
using Calls = schema::Storage;

class StoreTest : public testing::Test {
protected:
    StoreTest() {
        EXPECT_EQ(host.load(&storage_plugin_entry), "");
        host.know<schema::ContainerRequested>();
    }
    void import(const std::string& tar) {
        const CommandId command = host.next_id();
        Fd file(memfd_create("archive", MFD_CLOEXEC));
        ASSERT_EQ(write(file.get(), tar.data(), tar.size()), ssize_t(tar.size()));
        lseek(file.get(), 0, SEEK_SET);
        host.call<Calls::GiveParams>(
            "storage", "give",
            [&](auto params) {
                params.setCommandId({command.bytes.data(), command.bytes.size()});
            },
            std::move(file));
        auto outcome = host.command<schema::ImportImage>([](auto root) {
            root.setReference("box");
            root.initChanges(1).set(0, "CMD [\"/bin/sh\"]");
        });
        ASSERT_TRUE(outcome.accepted) << outcome.message;
    }
    size_t entries(const char* directory) {
        const fs::directory_iterator listing(host.state_dir("storage") + directory);
        return size_t(std::distance(begin(listing), end(listing)));
    }
    void expect_only_spares_in_tmp() {
        for (const auto& entry : fs::directory_iterator(host.state_dir("storage") + "/tmp"))
            EXPECT_TRUE(entry.path().filename().string().starts_with("spare-")) << entry.path();
        EXPECT_LE(entries("/tmp"), limits::rootfs_spares_max);
    }
    sdk::FakeHost host;
};

TEST_F(StoreTest, an_archive_becomes_an_image_a_rootfs_and_nothing_again) {
    import(image::TarBuilder().dir("bin").file("bin/sh", "#!").finish());
    ASSERT_EQ(host.count<schema::ImageAdded>(), 1u) << host.describe_since(0);
    sdk::Reading<schema::ImageAdded> added(host.last<schema::ImageAdded>()->bytes());
    EXPECT_EQ(added->getNames()[0], "box:latest");
    EXPECT_EQ(added->getSizeBytes(), 2u);
    host.inject<schema::ContainerRequested>([&](auto root) {
        root.setId("c1");
        root.initSpec().setImageId(added->getId());
        root.getSpec().initLayers(1).set(0, added->getLayers()[0].getDiffId());
    });
    ASSERT_EQ(host.count<schema::RootfsPrepared>(), 1u) << host.describe_since(0);
    sdk::Reading<schema::RootfsPrepared> rootfs(host.last<schema::RootfsPrepared>()->bytes());
    EXPECT_TRUE(fs::exists(std::string(rootfs->getLowers()[0].cStr()) + "/bin/sh"));
    EXPECT_TRUE(fs::is_directory(rootfs->getUpper().cStr()));
    EXPECT_TRUE(fs::is_directory(rootfs->getWork().cStr()));
    host.restart();
    EXPECT_TRUE(fs::is_directory(rootfs->getUpper().cStr()));

    host.inject<schema::ContainerRemovalRequested>([](auto root) { root.setId("c1"); });
    EXPECT_EQ(host.count<schema::RootfsRemoved>(), 1u);
    host.inject<schema::ContainerRemoved>([](auto root) { root.setId("c1"); });
    host.command<schema::RemoveImage>([](auto root) { root.setReference("box"); });
    for (const char* directory : {"/layers", "/blobs/sha256", "/rootfs"})
        EXPECT_EQ(entries(directory), 0u) << directory;
    host.advance(sdk::Quiet::quiet_ns);
    expect_only_spares_in_tmp();
}

TEST_F(StoreTest, the_root_of_a_container_looks_like_that_of_its_image) {
    import(image::TarBuilder().dir("./", 0711).file("a").finish());
    sdk::Reading<schema::ImageAdded> added(host.last<schema::ImageAdded>()->bytes());
    for (const char* id : {"c1", "c.2"}) {  // from a spare, and made by the library
        host.inject<schema::ContainerRequested>([&](auto root) {
            root.setId(id);
            root.initSpec().initLayers(1).set(0, added->getLayers()[0].getDiffId());
        });
        struct stat info;
        const std::string upper = host.state_dir("storage") + "/rootfs/" + id + "/upper";
        ASSERT_EQ(stat(upper.c_str(), &info), 0) << host.describe_since(0);
        EXPECT_EQ(info.st_mode & 07777, 0711u) << id;
    }
}

TEST_F(StoreTest, a_truncated_archive_leaves_nothing_behind) {
    import(image::TarBuilder().file("a", std::string(5000, 'x')).finish().substr(0, 2000));
    EXPECT_EQ(host.count<schema::ImageImportFailed>(), 1u) << host.describe_since(0);
    EXPECT_EQ(host.count<schema::ImageAdded>(), 0u);
    for (const char* directory : {"/layers", "/blobs/sha256"})
        EXPECT_EQ(entries(directory), 0u) << directory;
    expect_only_spares_in_tmp();
}

}  // namespace
}  // namespace noded::storage
