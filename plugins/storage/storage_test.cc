// What the storage plugin does over time: imports, calls that wait, the order of sweeps, crashes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plugins/storage/limits.h"
#include "plugins/storage/test_plugin.h"

namespace noded::storage {
namespace {

using schema::ContainerRemoved;
using schema::ContainerRequested;
using schema::ImageAdded;
using schema::ImageImported;
using schema::ImageImportFailed;
using schema::ImportImage;
using schema::LoadImages;
using schema::RemoveImage;
using schema::RootfsPrepared;
using Calls = schema::Storage;

Fd archive(const std::string& text) {
    Fd fd(memfd_create("archive", MFD_CLOEXEC));
    EXPECT_EQ(pwrite(fd.get(), text.data(), text.size(), 0), ssize_t(text.size()));
    return fd;
}

class StorageTest : public testing::Test {
protected:
    StorageTest() {
        test_disk = &disk;
        EXPECT_EQ(host.load(&test_table), "");
        know_containers(host);
    }
    uint64_t give(const CommandId& command, Fd file) {
        return host.call<Calls::GiveParams>(
            "storage", "give",
            [&](auto params) {
                params.setCommandId({command.bytes.data(), command.bytes.size()});
            },
            std::move(file));
    }
    uint64_t wait(const CommandId& command) {
        return host.call<Calls::WaitImportParams>("storage", "waitImport", [&](auto params) {
            params.setCommandId({command.bytes.data(), command.bytes.size()});
        });
    }
    CommandId load(const std::string& text) {
        const CommandId command = host.next_id();
        EXPECT_FALSE(host.answer(give(command, archive(text)))->refused);
        EXPECT_TRUE(host.command<LoadImages>([](auto) {}).accepted);
        return command;
    }
    uint64_t save(std::vector<const char*> references, Fd file) {
        return host.call<Calls::SaveParams>(
            "storage", "save",
            [&](auto params) {
                auto list = params.initReferences(unsigned(references.size()));
                for (unsigned i = 0; i < list.size(); ++i) list.set(i, references[i]);
            },
            std::move(file));
    }
    void remove(const char* reference) {
        auto outcome = host.command<RemoveImage>([&](auto root) { root.setReference(reference); });
        EXPECT_TRUE(outcome.accepted) << outcome.message;
    }
    void request_container(const char* id, const char* image, std::vector<const char*> layers) {
        host.inject<ContainerRequested>([&](auto root) {
            root.setId(id);
            root.initSpec().setImageId(fake_digest(image).c_str());
            auto list = root.getSpec().initLayers(unsigned(layers.size()));
            for (unsigned i = 0; i < list.size(); ++i) list.set(i, fake_digest(layers[i]).c_str());
        });
    }
    std::string failure() {
        const auto* event = host.last<ImageImportFailed>();
        if (event == nullptr) return "";
        return sdk::Reading<ImageImportFailed>(event->bytes())->getMessage().cStr();
    }

    FakeDisk disk;
    sdk::FakeHost host;
};

TEST_F(StorageTest, an_import_becomes_one_event_per_image_and_one_for_the_whole) {
    const CommandId command = load("1 box:1 a b\n2 box:2 a c\n");
    EXPECT_EQ(host.count<ImageAdded>(), 2u);
    ASSERT_EQ(host.count<ImageImported>(), 1u);
    EXPECT_EQ(host.last<ImageImported>()->command_id, command);
    EXPECT_EQ(host.last<ImageImported>()->cause_seq, 1u);
    EXPECT_EQ(disk.layers.size(), 3u);
    EXPECT_EQ(host.snapshot_trouble("storage"), "");
}

TEST_F(StorageTest, a_wait_is_answered_before_and_after_the_outcome) {
    const uint64_t early = wait(host.next_id());
    EXPECT_EQ(host.answer(early), nullptr);
    const CommandId command = load("1 box:1 a\n");
    for (uint64_t token : {early, wait(command)}) {
        ASSERT_NE(host.answer(token), nullptr);
        sdk::Reading<Calls::WaitImportResults> results(host.answer(token)->bytes());
        EXPECT_EQ(results->getError(), "");
        ASSERT_EQ(results->getNames().size(), 1u);
        EXPECT_EQ(results->getNames()[0], "box:1");
        EXPECT_EQ(results->getIds()[0], fake_digest("1").c_str());
    }
}

TEST_F(StorageTest, a_wait_whose_client_went_away_is_forgotten) {
    const uint64_t token = wait(host.next_id());
    host.cancel(token);
    load("1 box:1 a\n");
    EXPECT_EQ(host.answer(token), nullptr);
    EXPECT_EQ(host.late_answers(), 0u);
}

TEST_F(StorageTest, a_failed_import_says_why_and_the_next_one_goes_on) {
    disk.full = true;
    const uint64_t token = wait(host.next_id());
    load("1 box:1 a\n");
    EXPECT_EQ(failure(), "write a layer: ENOSPC (No space left on device)");
    EXPECT_EQ(sdk::Reading<Calls::WaitImportResults>(host.answer(token)->bytes())->getError(),
              failure().c_str());
    disk.full = false;
    load("1 box:1 a\n");
    EXPECT_EQ(host.count<ImageImported>(), 1u);
}

TEST_F(StorageTest, what_is_no_regular_file_is_not_taken) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    Fd writer(ends[1]);
    auto* answer = host.answer(give(host.next_id(), Fd(ends[0])));
    EXPECT_TRUE(answer->refused);
    EXPECT_EQ(answer->message, "the archive is not a regular file: write it to one first");
    EXPECT_EQ(fcntl(ends[0], F_GETFD), -1) << "the descriptor must be closed";
    EXPECT_TRUE(host.answer(give(host.next_id(), Fd()))->refused);
}

TEST_F(StorageTest, so_many_archives_wait_and_no_more) {
    CommandId command;
    for (size_t i = 0; i < limits::archives_given_max; ++i) {
        command.bytes[31] = uint8_t(i + 1);
        ASSERT_FALSE(host.answer(give(command, archive("x")))->refused);
    }
    command.bytes[30] = 1;
    EXPECT_EQ(host.answer(give(command, archive("x")))->code, NODED_REJECT_BUSY);
    host.advance(limits::archive_given_ns_max);
    EXPECT_FALSE(host.answer(give(command, archive("x")))->refused);
}

TEST_F(StorageTest, an_archive_that_nobody_asks_for_is_closed_after_a_while) {
    const CommandId command = host.next_id();
    give(command, archive("1 box:1 a\n"));
    host.advance(limits::archive_given_ns_max);
    EXPECT_EQ(host.timers(), 0u);
    host.command<LoadImages>([](auto) {});
    EXPECT_EQ(failure(), "no archive came with the command: the client must give one first");
}

TEST_F(StorageTest, a_full_lane_delays_an_import_and_keeps_its_archive) {
    host.fill_offload(true);
    const CommandId command = load("1 box:1 a\n");
    host.advance(2 * limits::archive_given_ns_max);
    EXPECT_EQ(host.count<ImageImported>(), 0u);
    host.fill_offload(false);
    host.advance(1'000'000'000);
    ASSERT_EQ(host.count<ImageImported>(), 1u);
    EXPECT_EQ(host.last<ImageImported>()->command_id, command);
}

TEST_F(StorageTest, layers_go_with_the_last_image_that_has_them) {
    load("1 box:1 a b\n2 box:2 a c\n");
    remove("box:1");
    EXPECT_EQ(disk.layers, (std::set{fake_digest("a"), fake_digest("c")}));
    remove("box:2");
    EXPECT_TRUE(disk.layers.empty());
    EXPECT_TRUE(disk.blobs.empty());
}

TEST_F(StorageTest, layers_of_a_container_outlive_their_image) {
    load("1 box:1 a\n");
    request_container("c1", "1", {"a"});
    auto outcome = host.command<RemoveImage>([](auto root) {
        root.setReference("box:1");
        root.setForce(true);
    });
    ASSERT_TRUE(outcome.accepted) << outcome.message;
    EXPECT_EQ(disk.layers.size(), 1u);
    host.inject<ContainerRemoved>([](auto root) { root.setId("c1"); });
    EXPECT_TRUE(disk.layers.empty());
    const size_t sweeps = disk.sweeps;
    request_container("c2", "1", {});
    host.inject<ContainerRemoved>([](auto root) { root.setId("c2"); });
    EXPECT_EQ(disk.sweeps, sweeps) << "no sweep without need";
}

// An import finds layer a in the store and keeps it. If the sweep for the image removed meanwhile
// ran before ImageAdded was folded, the new image would stand on nothing.
TEST_F(StorageTest, a_sweep_does_not_take_the_layers_of_an_import_under_way) {
    load("1 box:1 a\n");
    host.hold_offload(true);
    load("2 box:2 a\n");
    remove("box:1");
    EXPECT_TRUE(host.run_offload());
    EXPECT_TRUE(host.run_offload());
    EXPECT_FALSE(host.run_offload());
    EXPECT_EQ(disk.layers, std::set{fake_digest("a")});
    EXPECT_EQ(host.count<ImageImported>(), 2u);
}

TEST_F(StorageTest, a_retried_command_imports_once) {
    const CommandId command = load("1 box:1 a\n");
    EXPECT_FALSE(host.answer(give(command, archive("1 box:1 a\n")))->refused);
    EXPECT_TRUE(host.command<LoadImages>([](auto) {}, {command}).retried);
    EXPECT_EQ(disk.imports, 1u);
}

TEST_F(StorageTest, an_import_cut_by_a_crash_fails_with_a_sentence) {
    host.hold_offload(true);
    load("1 box:1 a\n");
    host.restart();
    EXPECT_EQ(failure(), "interrupted by a restart of noded; import it again");
    host.hold_offload(false);
    EXPECT_EQ(disk.imports, 0u);
    host.restart();
    EXPECT_EQ(host.count<ImageImportFailed>(), 1u);
}

TEST_F(StorageTest, directories_are_made_ahead_and_a_full_disk_is_no_loop) {
    EXPECT_EQ(disk.spares, 8u);
    load("1 box:1 a\n");
    request_container("c1", "1", {"a"});
    EXPECT_EQ(disk.spares, 7u) << "until it is quiet";
    host.advance(sdk::Quiet::quiet_ns);
    EXPECT_EQ(disk.spares, 15u);
    disk.spares = 1;
    request_container("c3", "1", {"a"});
    EXPECT_EQ(disk.spares, 8u) << "at once";
    disk.spares = 0;
    disk.full = true;
    request_container("c2", "1", {"a"});
    EXPECT_EQ(disk.spares, 0u);
    EXPECT_EQ(host.count<schema::RootfsPrepareFailed>(), 1u);
}

TEST_F(StorageTest, a_start_removes_what_no_event_speaks_of) {
    load("1 box:1 a\n");
    request_container("c1", "1", {"a"});
    disk.layers.insert(fake_digest("stray"));
    disk.rootfs["stray"] = {};
    host.restart();
    EXPECT_EQ(disk.layers, std::set{fake_digest("a")});
    ASSERT_EQ(disk.rootfs.size(), 1u);
    EXPECT_TRUE(disk.rootfs.contains("c1"));
    EXPECT_EQ(disk.detached, 0u);
}

TEST_F(StorageTest, a_start_makes_directories_that_a_power_failure_took) {
    load("1 box:1 a\n");
    request_container("c1", "1", {"a"});
    disk.rootfs.clear();
    host.restart_from_snapshot();
    EXPECT_TRUE(disk.rootfs.contains("c1"));
    EXPECT_EQ(host.count<RootfsPrepared>(), 1u);
}

TEST_F(StorageTest, images_are_listed_newest_first_and_shown_whole_one_by_one) {
    load("1 box:1 a\n2 box:2 a b\n");
    request_container("c1", "2", {"a", "b"});
    const uint64_t list = host.call<Calls::ListImagesParams>("storage", "listImages", [](auto) {});
    sdk::Reading<Calls::ListImagesResults> images(host.answer(list)->bytes());
    ASSERT_EQ(images->getImages().size(), 2u);
    EXPECT_EQ(images->getImages()[0].getNames()[0], "box:2");
    EXPECT_EQ(images->getImages()[0].getSizeBytes(), 2000u);
    EXPECT_EQ(images->getImages()[0].getContainers()[0], "c1");
    auto inspect = [&](const char* reference) {
        return host.answer(
            host.call<Calls::InspectImageParams>("storage", "inspectImage", [&](auto params) {
                params.setReference(reference);
            }));
    };
    sdk::Reading<Calls::InspectImageResults> one(inspect("box:1")->bytes());
    EXPECT_NE(std::string(one->getImage().getConfig()).find("2024-01-01T00:00:00Z"),
              std::string::npos);
    EXPECT_EQ(one->getImage().getLayers()[0], fake_digest("a").c_str());
    EXPECT_EQ(inspect("nope")->message, "No such image: nope:latest");
}

TEST_F(StorageTest, malformed_commands_are_rejected) {
    alignas(8) uint8_t garbage[16] = {0xff, 0xff, 0xff, 0x7f};
    const auto outcome = host.command(capnp::typeId<ImportImage>(), {garbage, sizeof garbage});
    EXPECT_EQ(outcome.code, NODED_REJECT_INVALID);
    EXPECT_TRUE(host.events().empty());
}

// -------------------------------------------------------------------------------------- saves

std::string text_of(const Fd& file) {
    char buffer[4096];
    const ssize_t size = pread(file.get(), buffer, sizeof buffer, 0);
    return {buffer, size_t(std::max<ssize_t>(size, 0))};
}

Fd again(const Fd& file) { return Fd(fcntl(file.get(), F_DUPFD_CLOEXEC, 0)); }

TEST_F(StorageTest, a_repository_stands_for_all_its_tags_and_an_id_for_no_name) {
    load("1 box:1 a\n2 box:2 a b\n3 other:1 a\n");
    const std::string one = fake_digest("1"), two = fake_digest("2"), three = fake_digest("3");
    const std::vector<std::pair<std::vector<const char*>, std::string>> cases = {
        {{"box"}, one + " box:1\n" + two + " box:2\n"},
        {{"box:2"}, two + " box:2\n"},
        {{"docker.io/library/box:2", "box:2", two.c_str()}, two + " box:2\n"},
        {{three.c_str()}, three + "\n"},
        {{"other", "box:1"}, three + " other:1\n" + one + " box:1\n"},
    };
    for (const auto& [references, expected] : cases) {
        const Fd file = archive("");
        const auto* answer = host.answer(save(references, again(file)));
        ASSERT_NE(answer, nullptr);
        EXPECT_FALSE(answer->refused) << answer->message;
        EXPECT_EQ(text_of(file), expected);
    }
    EXPECT_EQ(host.answer(save({"box:3"}, archive("")))->message, "No such image: box:3");
    EXPECT_EQ(host.answer(save({"nope"}, archive("")))->message, "No such image: nope:latest");
    EXPECT_TRUE(host.answer(save({}, archive("")))->refused);
    EXPECT_TRUE(host.answer(save({"box:1"}, {}))->refused);
    disk.full = true;
    EXPECT_NE(host.answer(save({"box:1"}, archive("")))->message.find("write the archive"),
              std::string::npos);
}

TEST_F(StorageTest, a_sweep_waits_for_a_save_and_a_save_for_an_import) {
    load("1 box:1 a\n2 box:2 b\n");
    host.hold_offload(true);
    const Fd first = archive(""), second = archive("");
    const uint64_t saving = save({"box:1"}, again(first));
    remove("box:1");
    const uint64_t late = save({"box:1"}, again(second));
    const uint64_t given_up = save({"box:2"}, again(second));
    EXPECT_TRUE(disk.layers.contains(fake_digest("a")));
    ASSERT_TRUE(host.run_offload());
    EXPECT_FALSE(host.answer(saving)->refused);
    EXPECT_EQ(text_of(first), fake_digest("1") + " box:1\n");
    host.cancel(given_up);
    while (host.run_offload()) {
    }
    EXPECT_FALSE(disk.layers.contains(fake_digest("a")));
    EXPECT_EQ(host.answer(late)->message, "No such image: box:1");
    EXPECT_EQ(text_of(second), "");
}

TEST_F(StorageTest, a_save_whose_client_has_gone_frees_the_store) {
    load("1 box:1 a\n");
    host.hold_offload(true);
    const uint64_t saving = save({"box:1"}, archive(""));
    host.cancel(saving);
    while (host.run_offload()) {
    }
    host.hold_offload(false);
    const Fd file = archive("");
    EXPECT_FALSE(host.answer(save({"box:1"}, again(file)))->refused);
    EXPECT_NE(text_of(file), "");
}

// ------------------------------------------------------------------------------------ commits

struct CommitTest : StorageTest {
    /// Of a container of box:1 with a rootfs.
    void SetUp() override {
        load("1 box:1 a b\n");
        request_container("c1aaaaaaaaaaaaaa", "1", {"a", "b"});
    }
    CommandId commit(bool pauses) {
        CommandId id;
        id.bytes[0] = 99;
        host.inject<schema::ContainerCommitRequested>(
            [&](auto event) {
                event.setId("c1aaaaaaaaaaaaaa");
                event.setReference("mine:2");
                event.setPauses(pauses);
                event.initCommand(1).set(0, "sleep");
                event.initChanges(1).set(0, "ENV A=b");
            },
            id);
        return id;
    }
    template <typename Event>
    void tell() {
        host.inject<Event>([](auto event) { event.setId("c1aaaaaaaaaaaaaa"); });
    }
};

TEST_F(CommitTest, the_image_has_one_layer_more_and_what_the_container_says) {
    const CommandId command = commit(false);
    ASSERT_EQ(host.count<ImageImported>(), 2u);
    EXPECT_EQ(host.last<ImageImported>()->command_id, command);
    sdk::Reading<ImageAdded> added(host.last<ImageAdded>()->bytes());
    ASSERT_EQ(added->getLayers().size(), 3u);
    EXPECT_EQ(added->getNames()[0], "mine:2");
    const std::string config = added->getConfig().cStr();
    EXPECT_NE(config.find("\"Cmd\":[\"sleep\"]"), std::string::npos) << config;
    EXPECT_EQ(host.snapshot_trouble("storage"), "");
    const auto token = wait(command);
    ASSERT_NE(host.answer(token), nullptr);
}

TEST_F(CommitTest, it_begins_when_the_container_is_still) {
    commit(true);
    EXPECT_EQ(disk.commits, 0u);
    EXPECT_EQ(host.snapshot_trouble("storage"), "");
    EXPECT_EQ(host.damaged_snapshot_trouble("storage"), "");
    tell<schema::ContainerPaused>();
    EXPECT_EQ(disk.commits, 1u);
    EXPECT_EQ(host.count<ImageImported>(), 2u);
}

TEST_F(CommitTest, the_end_of_the_run_is_as_good_as_a_pause) {
    commit(true);
    tell<schema::ContainerExited>();
    EXPECT_EQ(disk.commits, 1u);
    EXPECT_EQ(host.count<ImageImported>(), 2u);
}

TEST_F(CommitTest, a_pause_that_fails_is_its_failure) {
    commit(true);
    host.inject<schema::ContainerPauseFailed>([](auto event) {
        event.setId("c1aaaaaaaaaaaaaa");
        event.setMessage("it will not");
    });
    EXPECT_EQ(failure(), "cannot pause the container: it will not");
    EXPECT_EQ(host.count<ImageImportFailed>(), 1u);
    EXPECT_EQ(disk.commits, 0u);
}

TEST_F(CommitTest, without_its_image_or_on_a_full_disk_it_fails_with_a_sentence) {
    disk.full = true;
    commit(false);
    EXPECT_NE(failure().find("ENOSPC"), std::string::npos) << failure();
    disk.full = false;
    auto outcome = host.command<RemoveImage>([&](auto root) {
        root.setReference("box:1");
        root.setForce(true);
    });
    ASSERT_TRUE(outcome.accepted) << outcome.message;
    commit(false);
    EXPECT_NE(failure().find("No such image: "), std::string::npos) << failure();
    EXPECT_EQ(host.count<ImageImportFailed>(), 2u);
}

TEST_F(CommitTest, one_that_cannot_be_keeps_nobody_from_the_store) {
    auto outcome = host.command<RemoveImage>([&](auto root) {
        root.setReference("box:1");
        root.setForce(true);
    });
    ASSERT_TRUE(outcome.accepted) << outcome.message;
    commit(false);
    EXPECT_NE(failure().find("No such image: "), std::string::npos) << failure();
    load("2 box:2 c\n");
    EXPECT_EQ(host.count<ImageImported>(), 2u);
}

TEST_F(CommitTest, behind_an_import_that_never_ends_it_fails_at_its_deadline) {
    constexpr int64_t kMoment = 1'000'000;
    host.hold_offload(true);
    load("2 box:2 a c\n");   // holds the store
    const CommandId command = commit(true);
    tell<schema::ContainerPaused>();
    host.advance(limits::commit_wait_ns_max - kMoment);
    EXPECT_EQ(host.count<ImageImportFailed>(), 0u);
    host.advance(2 * kMoment);
    ASSERT_EQ(host.count<ImageImportFailed>(), 1u) << "its container is paused for it";
    EXPECT_EQ(host.last<ImageImportFailed>()->command_id, command);
    EXPECT_EQ(failure(), "the image store is busy with another image since 20 seconds: try again "
                         "when that is done");
    while (host.run_offload()) {}   // it ends after all
    EXPECT_EQ(host.count<ImageImported>(), 2u);
    EXPECT_EQ(disk.commits, 0u);
    EXPECT_EQ(host.count<ImageImportFailed>(), 1u);
    EXPECT_EQ(host.snapshot_trouble("storage"), "");
}

}  // namespace
}  // namespace noded::storage
