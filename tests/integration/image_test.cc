// Images as a user handles them: imported, loaded, listed, named, run, removed, through restarts
// and crashes. What a hostile archive gets is in bad_input_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "plugins/storage/image/test_archive.h"
#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using image::TarBuilder;
using image::TestImage;

size_t count_in(const std::string& dir) {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(dir), fs::directory_iterator()));
}

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// Images are what is tested: the node begins without one.
struct ImageTest : SharedNodeTest {
    static void SetUpTestSuite() {
        node = new TestNode;
        node->start();
        const std::string path = node->dir() + "/rootfs.tar";
        const Ran made = run_program({built("ops/busybox-rootfs"), path});
        ASSERT_EQ(made.exit_code, 0) << made.err;
        rootfs = read_text(path);
    }
    void TearDown() override {
        if (!node->running()) node->start();
        node->expect_nothing_left();
        std::istringstream ids(node->ok({"images", "-q", "--no-trunc"}));
        std::set<std::string> all{std::istream_iterator<std::string>(ids), {}};
        for (const std::string& id : all) node->ok({"rmi", "-f", id});
        EXPECT_TRUE(eventually([] { return layers() == 0 && blobs() == 0; }, 30))
            << layers() << " layers, " << blobs() << " blobs";
    }

    static size_t layers() { return count_in(node->state_dir() + "/plugins/storage/layers"); }
    static size_t blobs() { return count_in(node->state_dir() + "/plugins/storage/blobs/sha256"); }

    static std::string write(const std::string& name, const std::string& content) {
        std::string path = node->dir() + "/" + name;
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }
    static std::string import_as(const std::string& name,
                                 const std::vector<std::string>& changes = {}) {
        std::vector<std::string> words = {"image", "import"};
        for (const std::string& change : changes) words.insert(words.end(), {"-c", change});
        words.insert(words.end(), {write("import.tar", rootfs), name});
        return node->ok(words);
    }
    /// Of an image: a field of its inspect, or of its row in the list.
    static std::string inspect(const std::string& image, const std::string& format) {
        return node->ok({"image", "inspect", "-f", format, image});
    }
    static std::string run(const std::vector<std::string>& words) {
        std::vector<std::string> all = {"run", "--rm"};
        all.insert(all.end(), words.begin(), words.end());
        return node->ok(all);
    }

    static std::string rootfs;
};
std::string ImageTest::rootfs;

// ------------------------------------------------------------------------------ import and load

TEST_F(ImageTest, any_compression_from_file_or_stdin_gives_the_same_layer_and_runs) {
    const std::pair<const char*, std::string> kForms[] = {
        {"plain", rootfs}, {"gz", image::gzip(rootfs)}, {"zst", image::zstd(rootfs)}};
    for (const auto& [name, archive] : kForms) {
        const std::string path = write(name, archive);
        const std::string id = node->ok({"image", "import", path, std::string("file-") + name});
        EXPECT_TRUE(id.starts_with("sha256:") && id.size() == 71) << id;
        const Ran piped =
            node->nodectl({"image", "import", "-", std::string("pipe-") + name}, archive);
        EXPECT_EQ(piped.exit_code, 0) << piped.err;
        for (const char* from : {"file-", "pipe-"})
            EXPECT_EQ(run({std::string(from) + name, "echo", "hello"}), "hello");
    }
    EXPECT_EQ(layers(), 1u);
    EXPECT_EQ(lines_of(node->ok({"images", "-q"})).size(), 6u);
}

TEST_F(ImageTest, standard_input_that_is_a_file_is_read_from_where_it_stands) {
    const std::string path = write("offset", "skipped!" + rootfs);
    std::string line = "{ dd bs=8 count=1 of=/dev/null 2>/dev/null; ";
    for (const std::string& word : node->command({"image", "import", "-", "offset"}))
        line += word + " ";
    const Ran ran = run_program({"/bin/sh", "-c", line + "; } < " + path});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(run({"offset", "echo", "hello"}), "hello");
}

TEST_F(ImageTest, an_import_without_a_name_is_reached_by_its_id) {
    const std::string id = node->ok({"image", "import", write("import.tar", rootfs)});
    EXPECT_EQ(node->ok({"images", "--format", "{{.Repository}}:{{.Tag}}"}), "<none>:<none>");
    EXPECT_EQ(run({id.substr(7, 12), "echo", "hello"}), "hello");
    EXPECT_EQ(run({id, "echo", "hello"}), "hello");
}

TEST_F(ImageTest, docker_archives_and_oci_layouts_load_and_run) {
    const TestImage image{{rootfs, image::tar_of({{"etc/motd", "from the second layer"}})}};
    std::string (*const packs[])(std::string_view) = {image::gzip, image::zstd};
    const std::string docker = image::tar_of(image::docker_archive(image, "app:docker"));
    EXPECT_EQ(node->ok({"image", "load", "-i", write("docker.tar", docker)}),
              "Loaded image: app:docker");
    EXPECT_EQ(run({"app:docker", "cat", "/etc/motd"}), "from the second layer");
    for (const auto pack : packs) {
        const std::string oci = image::tar_of(image::oci_layout(image, "app:oci", pack));
        const Ran piped = node->nodectl({"load"}, oci);
        EXPECT_EQ(piped.out, "Loaded image: app:oci\n") << piped.err;
        EXPECT_EQ(run({"app:oci", "cat", "/etc/motd"}), "from the second layer");
    }
    EXPECT_EQ(layers(), 2u);
    EXPECT_EQ(inspect("app:docker", "{{.Id}}"), inspect("app:oci", "{{.Id}}"));
    EXPECT_EQ(lines_of(inspect("app:oci", "{{range .RootFS.Layers}}{{println .}}{{end}}")).size(),
              2u);
}

TEST_F(ImageTest, what_skopeo_and_umoci_make_loads_and_runs) {
    if (!fs::exists("/usr/bin/skopeo") || !fs::exists("/usr/bin/umoci")) GTEST_SKIP();
    const std::string dir = node->dir() + "/tools";
    fs::create_directories(dir + "/more");
    std::ofstream(dir + "/more/word") << "umoci";
    const std::string script =
        "set -e; cd " + dir + "; export HOME=" + dir +
        "; umoci init --layout oci; umoci new --image oci:v1; "
        "umoci raw add-layer --image oci:v1 " + write("import.tar", rootfs) +
        "; umoci insert --image oci:v1 more /more; umoci insert --image oci:v1 --whiteout /home; "
        "umoci config --image oci:v1 --config.entrypoint /bin/cat --config.cmd /more/word "
        "--config.env A=b; tar cf oci.tar -C oci .; "
        "skopeo --insecure-policy copy -q oci:oci:v1 docker-archive:docker.tar:tools/app:v2; "
        "skopeo --insecure-policy copy -q oci:oci:v1 oci-archive:skopeo.tar:tools/app:v3";
    const Ran made = run_program({"/bin/sh", "-c", script});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    for (const auto& [file, said] :
         {std::pair("oci.tar", "Loaded image: "), {"docker.tar", "Loaded image: tools/app:v2"},
          {"skopeo.tar", "Loaded image: tools/app:v3"}}) {
        const std::string loaded = node->ok({"load", "-i", dir + "/" + file});
        EXPECT_TRUE(loaded.starts_with(said)) << loaded;
    }
    for (const char* name : {"tools/app:v2", "tools/app:v3"}) {
        EXPECT_EQ(run({name}), "umoci");
        EXPECT_EQ(run({"--entrypoint", "/bin/ls", name, "/"}).find("home"), std::string::npos);
    }
    fs::remove_all(dir);
}

// ------------------------------------------------------------------------------------------ save

TEST_F(ImageTest, what_is_saved_loads_with_the_same_id_and_runs) {
    const TestImage two{{rootfs, image::tar_of({{"etc/motd", "from the second layer"}})}};
    const std::string layout = image::tar_of(image::oci_layout(two, "app:1", image::gzip));
    node->ok({"load", "-i", write("two.tar", layout)});
    import_as("base", {"CMD [\"cat\", \"/made\"]"});
    node->ok({"run", "--name", "maker", "base", "sh", "-c", "echo made >/made; rm /etc/group"});
    node->ok({"commit", "-c", "CMD [\"cat\", \"/made\"]", "maker", "made:1"});
    node->ok({"rm", "maker"});
    std::map<std::string, std::string> ids;
    for (const char* name : {"app:1", "base:latest", "made:1"})
        ids[name] = inspect(name, "{{.Id}}");
    const std::string file = node->dir() + "/saved.tar";
    EXPECT_EQ(node->ok({"save", "-o", file, "app", "base:latest", "made:1"}), "");
    EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
    const Ran piped = node->nodectl({"image", "save", "app", "base:latest", "made:1"});
    EXPECT_EQ(piped.err, "");
    EXPECT_EQ(piped.out, read_text(file)) << "the same through a pipe";
    for (const auto& [name, id] : ids) node->ok({"rmi", name});
    EXPECT_TRUE(eventually([] { return layers() == 0; }, 30));
    EXPECT_EQ(node->ok({"load", "-i", file}),
              "Loaded image: app:1\nLoaded image: base:latest\nLoaded image: made:1");
    for (const auto& [name, id] : ids) EXPECT_EQ(inspect(name, "{{.Id}}"), id) << name;
    EXPECT_EQ(run({"app:1", "cat", "/etc/motd"}), "from the second layer");
    EXPECT_EQ(run({"made:1"}), "made");
    EXPECT_EQ(node->nodectl({"run", "--rm", "made:1", "ls", "/etc/group"}).exit_code, 1);
    fs::remove(file);
}

TEST_F(ImageTest, what_is_saved_is_read_by_skopeo_in_both_formats) {
    if (!fs::exists("/usr/bin/skopeo")) GTEST_SKIP();
    import_as("web:1");
    const std::string dir = node->dir() + "/skopeo";
    fs::create_directories(dir);
    node->ok({"save", "-o", dir + "/a.tar", "web:1"});
    const std::string script = "set -e; export HOME=" + dir + "; cd " + dir +
                               "; for from in docker-archive oci-archive; do skopeo "
                               "--insecure-policy copy -q $from:a.tar oci:$from:x; done; "
                               "cat docker-archive/index.json oci-archive/index.json";
    const Ran copied = run_program({"/bin/sh", "-c", script});
    EXPECT_EQ(copied.exit_code, 0) << copied.err;
    const Ran listed = run_program({"/bin/sh", "-c", "tar xOf " + dir + "/a.tar manifest.json"});
    const std::string id = inspect("web:1", "{{.Id}}").substr(7);
    EXPECT_TRUE(listed.out.starts_with("[{\"Config\":\"blobs/sha256/" + id + "\",\"Layer"))
        << listed.out;
    EXPECT_NE(listed.out.find("\"RepoTags\":[\"web:1\"]"), std::string::npos) << listed.out;
    fs::remove_all(dir);
}

TEST_F(ImageTest, a_save_that_cannot_be_leaves_no_file) {
    import_as("web:1");
    const std::string dir = node->dir() + "/nowhere";
    fs::create_directories(dir);
    const std::pair<std::vector<std::string>, const char*> kCases[] = {
        {{"save", "-o", dir + "/a", "nope"}, "No such image: nope:latest"},
        {{"save", "-o", dir + "/no/such/a", "web:1"}, "does not exist"},
        {{"save", "-o", "/dev/null", "web:1"}, "must be a directory or a regular file"},
        {{"save", "-o", dir, "web:1"}, "create "},
        {{"export", "-o", "/dev/null", "web"}, "must be a directory or a regular file"},
    };
    for (const auto& [words, sentence] : kCases) {
        const Ran ran = node->nodectl(words);
        EXPECT_EQ(ran.exit_code, 1) << ran.err;
        EXPECT_NE(ran.err.find(sentence), std::string::npos) << ran.err;
    }
    EXPECT_TRUE(fs::is_empty(dir));
    EXPECT_TRUE(fs::is_character_file("/dev/null"));
    fs::remove_all(dir);
}

// ------------------------------------------------------------------------------------------ list

TEST_F(ImageTest, the_list_has_dockers_columns_and_formats) {
    const std::string id = import_as("web:1.2");
    const std::string short_id = id.substr(7, 12);
    const std::vector<std::string> table = lines_of(node->ok({"images"}));
    ASSERT_EQ(table.size(), 2u);
    size_t at = 0;
    for (const char* column : {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}) {
        const size_t found = table[0].find(column, at);
        ASSERT_NE(found, std::string::npos) << table[0];
        at = found + 1;
    }
    for (const std::string& word : {std::string("web "), std::string(" 1.2 "), short_id}) {
        EXPECT_NE(table[1].find(word), std::string::npos) << table[1];
    }
    EXPECT_EQ(node->ok({"images", "-q"}), short_id);
    EXPECT_EQ(node->ok({"images", "-q", "--no-trunc"}), id);
    EXPECT_EQ(node->ok({"image", "ls", "--format", "{{.ID}} {{.Repository}} {{.Tag}}"}),
              short_id + " web 1.2");
    const std::string json = node->ok({"images", "--format", "json"});
    EXPECT_NE(json.find("\"Repository\":\"web\""), std::string::npos) << json;
    const std::vector<std::string> own =
        lines_of(node->ok({"images", "--format", "table {{.Tag}}\t{{.Repository}}"}));
    ASSERT_EQ(own.size(), 2u);
    EXPECT_TRUE(own[0].starts_with("TAG") && own[1].starts_with("1.2")) << own[0] << own[1];
}

TEST_F(ImageTest, inspect_knows_what_an_image_does_not_set) {
    import_as("web:1", {"ENV A=1"});
    EXPECT_EQ(node->ok({"inspect", "-f",
                        "{{json .Config.Env}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} "
                        "{{json .Config.Volumes}} {{json .Config.Labels}} {{.Config.User}}|"
                        "{{.Config.Tty}} {{.GraphDriver.Name}} {{.Parent}}|",
                        "web:1"}),
              "[\"A=1\"] null null null null |false overlay2 |");
}

TEST_F(ImageTest, a_list_with_digests_has_their_column) {
    import_as("web:1.2");
    const std::vector<std::string> table = lines_of(node->ok({"images", "--digests"}));
    ASSERT_EQ(table.size(), 2u);
    EXPECT_LT(table[0].find("TAG"), table[0].find("DIGEST"));
    EXPECT_LT(table[0].find("DIGEST"), table[0].find("IMAGE ID"));
    EXPECT_EQ(table[1].substr(table[0].find("DIGEST"), 6), "<none>");
}

TEST_F(ImageTest, a_history_tells_each_step_the_last_one_first) {
    import_as("web:1");
    node->ok({"create", "--name", "maker", "web:1", "sh", "-c", "true"});
    const std::string id = node->ok({"commit", "-m", "why", "maker", "web:2"});
    node->ok({"rm", "maker"});
    const auto told = [](std::vector<std::string> more) {
        std::vector<std::string> words = {"history", "web:2"};
        words.insert(words.end(), more.begin(), more.end());
        return node->ok(words);
    };
    EXPECT_EQ(told({"--format", "{{.ID}}|{{.CreatedBy}}|{{.Comment}}"}),
              id.substr(7, 12) + "|sh -c true|why\n<missing>||Imported from -");
    EXPECT_EQ(told({"-q", "--no-trunc"}), id + "\n<missing>");
    const std::vector<std::string> sizes =
        lines_of(told({"--human=false", "--format", "{{.Size}} {{.CreatedSince}}"}));
    ASSERT_EQ(sizes.size(), 2u);
    EXPECT_TRUE(sizes[0].starts_with("0 20")) << sizes[0];
    EXPECT_GT(std::stoll(sizes[1]), 100'000) << sizes[1];
    const std::vector<std::string> table = lines_of(told({}));
    ASSERT_EQ(table.size(), 3u);
    EXPECT_TRUE(table[0].starts_with("IMAGE          CREATED")) << table[0];
    EXPECT_TRUE(table[0].ends_with("CREATED BY   SIZE      COMMENT")) << table[0];
    EXPECT_EQ(node->ok({"image", "history", "-q", "web:2"}), told({"-q"}));
    const Ran missing = node->nodectl({"history", "nobody"});
    EXPECT_EQ(missing.exit_code, 1);
    EXPECT_EQ(missing.err, "Error: No such image: nobody:latest\n");
}

TEST_F(ImageTest, filters_and_references_select) {
    import_as("web:1", {"LABEL tier=front"});
    import_as("web:2");
    import_as("db:1");
    const auto names = [](std::vector<std::string> more) {
        std::vector<std::string> words = {"images", "--format", "{{.Repository}}:{{.Tag}}"};
        words.insert(words.end(), more.begin(), more.end());
        std::vector<std::string> lines = lines_of(node->ok(words));
        std::ranges::sort(lines);
        std::string all;
        for (const std::string& line : lines) all += line + " ";
        return trimmed(all);
    };
    EXPECT_EQ(names({}), "db:1 web:1 web:2");
    EXPECT_EQ(names({"web"}), "web:1 web:2");
    EXPECT_EQ(names({"web:2"}), "web:2");
    EXPECT_EQ(names({"-f", "reference=*:1"}), "db:1 web:1");
    EXPECT_EQ(names({"-f", "label=tier"}), "web:1");
    EXPECT_EQ(names({"-f", "label=tier=front"}), "web:1");
    EXPECT_EQ(names({"-f", "label=tier=back"}), "");
    EXPECT_EQ(names({"-f", "dangling=true"}), "");
    EXPECT_EQ(names({"-f", "before=db:1"}), "web:1 web:2");
    EXPECT_EQ(names({"-f", "since=web:2"}), "db:1");
}

// -------------------------------------------------------------------------------- names and rmi

TEST_F(ImageTest, a_tag_is_another_name_and_moves) {
    const std::string one = import_as("one");
    const std::string two = import_as("two");
    ASSERT_NE(one, two);
    node->ok({"tag", "one", "app:v1"});
    EXPECT_EQ(inspect("app:v1", "{{.Id}}"), one);
    node->ok({"tag", two.substr(7, 16), "app:v1"});
    EXPECT_EQ(inspect("app:v1", "{{.Id}}"), two);
    EXPECT_EQ(inspect("one", "{{.Id}}"), one);
    EXPECT_EQ(inspect("docker.io/library/one:latest", "{{.Id}}"), one);
}

TEST_F(ImageTest, a_name_that_moves_to_a_new_import_leaves_the_old_image_without_one) {
    const std::string one = import_as("app");
    const std::string two = import_as("app");
    ASSERT_NE(one, two);
    EXPECT_EQ(inspect("app", "{{.Id}}"), two);
    EXPECT_EQ(inspect(one, "{{len .RepoTags}}"), "0");
    EXPECT_EQ(node->ok({"images", "-q", "--no-trunc", "-f", "dangling=true"}), one);
}

TEST_F(ImageTest, rmi_by_name_takes_the_name_and_with_the_last_one_the_image) {
    const std::string id = import_as("app:1");
    node->ok({"tag", "app:1", "app:2"});
    EXPECT_EQ(node->ok({"rmi", "app:1"}), "Untagged: app:1");
    EXPECT_EQ(layers(), 1u);
    EXPECT_EQ(node->ok({"rmi", "app:2"}), "Untagged: app:2\nDeleted: " + id);
    EXPECT_TRUE(eventually([] { return layers() == 0 && blobs() == 0; }));
    const Ran again = node->nodectl({"rmi", "app:2"});
    EXPECT_EQ(again.exit_code, 1);
    EXPECT_EQ(again.err, "Error: No such image: app:2\n");
}

TEST_F(ImageTest, rmi_by_id_or_prefix_takes_all_names_of_one_repository) {
    const std::string id = import_as("app:1");
    node->ok({"tag", "app:1", "app:2"});
    EXPECT_EQ(node->ok({"rmi", id.substr(7, 6)}),
              "Untagged: app:1\nUntagged: app:2\nDeleted: " + id);
    const std::string second = import_as("app:1");
    node->ok({"tag", "app:1", "other"});
    const Ran refused = node->nodectl({"rmi", second});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.err.find("(must be forced) - image is referenced in multiple repositories"),
              std::string::npos)
        << refused.err;
    EXPECT_NE(node->ok({"rmi", "-f", second}).find("Deleted: " + second), std::string::npos);
    EXPECT_EQ(node->ok({"images", "-q"}), "");
}

TEST_F(ImageTest, an_image_under_a_stopped_container_needs_force_and_the_container_goes_on) {
    const std::string id = import_as("app");
    node->ok({"create", "--name", "cc", "app", "echo", "still here"});
    for (const std::string& reference : {std::string("app"), id}) {
        const Ran refused = node->nodectl({"rmi", reference});
        EXPECT_EQ(refused.exit_code, 1);
        EXPECT_NE(refused.err.find("conflict: unable to "), std::string::npos) << refused.err;
        EXPECT_NE(refused.err.find("force"), std::string::npos) << refused.err;
    }
    node->ok({"rmi", "-f", "app"});
    EXPECT_EQ(node->ok({"images", "-q"}), "");
    EXPECT_EQ(node->ok({"start", "-a", "cc"}), "still here");
    EXPECT_EQ(layers(), 1u);
    node->ok({"rm", "cc"});
    EXPECT_TRUE(eventually([] { return layers() == 0; }));
}

TEST_F(ImageTest, an_image_under_a_running_container_stays_even_with_force) {
    const std::string id = import_as("app");
    node->ok({"run", "-d", "--name", "up", "app", "sleep", "1000"});
    EXPECT_EQ(node->nodectl({"rmi", "app"}).exit_code, 1);
    const Ran refused = node->nodectl({"rmi", "-f", id});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.err.find("(cannot be forced) - image is being used by running container"),
              std::string::npos)
        << refused.err;
    EXPECT_EQ(inspect("app", "{{.Id}}"), id);
    // As in docker: with force the name goes, the image stays.
    EXPECT_EQ(node->ok({"rmi", "-f", "app"}), "Untagged: app:latest");
    EXPECT_EQ(inspect(id, "{{.Id}}"), id);
    EXPECT_EQ(node->ok({"exec", "up", "echo", "alive"}), "alive");
    node->ok({"rm", "-f", "up"});
}

TEST_F(ImageTest, several_images_at_once_are_removed_although_one_is_not_there) {
    import_as("one");
    import_as("two");
    const Ran ran = node->nodectl({"rmi", "one", "missing", "two"});
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_EQ(ran.err, "Error: No such image: missing:latest\n");
    EXPECT_EQ(node->ok({"images", "-q"}), "");
}

TEST_F(ImageTest, a_shared_layer_stays_until_the_last_image_goes) {
    const std::string top_one = image::tar_of({{"one", "1"}});
    const std::string top_two = image::tar_of({{"two", "2"}});
    for (const auto& [name, top] : {std::pair("one:latest", top_one), {"two:latest", top_two}}) {
        const TestImage image{{rootfs, top}};
        node->ok({"load", "-i", write("x.tar", image::tar_of(image::docker_archive(image, name)))});
    }
    EXPECT_EQ(layers(), 3u);
    node->ok({"rmi", "one"});
    EXPECT_TRUE(eventually([] { return layers() == 2; })) << layers();
    EXPECT_EQ(run({"two", "cat", "/two"}), "2");
    node->ok({"rmi", "two"});
    EXPECT_TRUE(eventually([] { return layers() == 0; })) << layers();
}

// --------------------------------------------------------------------- what run makes of the
// config

TEST_F(ImageTest, environment_directory_user_and_labels_come_from_the_image) {
    import_as("app", {"ENV A=image B=image", "WORKDIR /var/work", "USER nobody",
                      "LABEL tier=front team=core"});
    EXPECT_EQ(run({"-e", "B=mine", "app", "sh", "-c", "echo $A $B $PWD $(id -u):$(id -g)"}),
              "image mine /var/work 65534:65534");
    EXPECT_EQ(run({"-w", "/tmp", "-u", "0", "app", "sh", "-c", "echo $PWD $(id -u)"}), "/tmp 0");
    node->ok({"create", "--name", "cc", "-l", "team=mine", "app", "true"});
    EXPECT_EQ(node->ok({"inspect", "-f",
                        "{{index .Config.Labels \"tier\"}} {{index .Config.Labels \"team\"}}",
                        "cc"}),
              "front mine");
}

TEST_F(ImageTest, entrypoint_and_command_combine_by_dockers_rules) {
    import_as("cmd", {"CMD [\"echo\", \"from\", \"cmd\"]"});
    import_as("both", {"ENTRYPOINT [\"echo\", \"entry\"]", "CMD [\"cmd\"]"});
    import_as("shell", {"CMD echo $((6 * 7))"});
    import_as("none");
    EXPECT_EQ(run({"cmd"}), "from cmd");
    EXPECT_EQ(run({"cmd", "echo", "mine"}), "mine");
    EXPECT_EQ(run({"both"}), "entry cmd");
    EXPECT_EQ(run({"both", "mine"}), "entry mine");
    EXPECT_EQ(run({"--entrypoint", "echo", "both"}), "");
    EXPECT_EQ(run({"--entrypoint", "echo", "both", "mine"}), "mine");
    EXPECT_EQ(run({"--entrypoint", "", "both", "echo", "bare"}), "bare");
    EXPECT_EQ(run({"shell"}), "42");
    const Ran nothing = node->nodectl({"run", "--rm", "none"});
    EXPECT_EQ(nothing.exit_code, 125);
    EXPECT_EQ(nothing.err, "Error: No command specified\n");
}

TEST_F(ImageTest, the_images_stop_signal_stops) {
    import_as("app", {"STOPSIGNAL SIGUSR1"});
    const std::string script = "trap 'exit 11' USR1; echo up; while :; do sleep 0.05; done";
    node->ok({"run", "-d", "--name", "image", "app", "sh", "-c", script});
    node->ok({"run", "-d", "--name", "mine", "--stop-signal", "USR2", "app", "sh", "-c",
              "trap 'exit 12' USR2; echo up; while :; do sleep 0.05; done"});
    for (const auto& [name, code] : {std::pair("image", "11"), {"mine", "12"}}) {
        ASSERT_TRUE(eventually([&] { return node->ok({"logs", name}) == "up"; }));
        node->ok({"stop", name});
        EXPECT_EQ(node->ok({"wait", name}), code);
    }
}

TEST_F(ImageTest, whiteouts_and_opaque_directories_hide_lower_layers_in_a_container) {
    TarBuilder lower, upper;
    lower.dir("data").file("data/gone").file("data/kept", "kept").dir("opaque");
    lower.file("opaque/old").dir("opaque/sub").file("opaque/sub/old").dir("tree");
    lower.file("tree/file");
    upper.file("data/.wh.gone", "").dir("opaque").file("opaque/.wh..wh..opq", "");
    upper.file("opaque/new").file(".wh.tree", "");
    const TestImage image{{rootfs, lower.finish(), upper.finish()}};
    node->ok({"load", "-i", write("x.tar", image::tar_of(image::docker_archive(image, "w:1")))});
    const std::string script =
        "ls /data /opaque; ls -d /tree 2>/dev/null; cat /data/kept; "
        "touch /data/gone /tree; mkdir /opaque/sub; ls /opaque/sub; ls /data";
    EXPECT_EQ(run({"w:1", "sh", "-c", script}),
              "/data:\nkept\n\n/opaque:\nnew\nkeptgone\nkept");
}

TEST_F(ImageTest, what_a_container_writes_never_reaches_the_image) {
    import_as("app");
    EXPECT_EQ(run({"app", "sh", "-c", "echo x > /etc/passwd; rm -r /home; cat /etc/passwd"}), "x");
    EXPECT_EQ(run({"app", "sh", "-c", "wc -l < /etc/passwd; ls -d /home"}), "2\n/home");
}

// ---------------------------------------------------------------------------- restarts and crashes

TEST_F(ImageTest, images_survive_a_stop_and_a_kill) {
    import_as("app:1", {"ENV A=b"});
    node->ok({"tag", "app:1", "other"});
    const std::string format = "{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}";
    const std::string before = node->ok({"images", "--format", format});
    node->stop();
    node->start();
    EXPECT_EQ(node->ok({"images", "--format", format}), before);
    node->kill();
    node->start();
    EXPECT_EQ(node->ok({"images", "--format", format}), before);
    EXPECT_EQ(run({"other", "sh", "-c", "echo $A"}), "b");
}

constexpr int kMany = 4000;

/// A root file system with many files: its import takes long enough to be hit.
std::string many_files(const std::string& rootfs) {
    TarBuilder tar;
    tar.dir("many");
    for (int i = 0; i < kMany; ++i) tar.file("many/" + std::to_string(i), std::string(8192, 'x'));
    // The end marker of the first one goes.
    const size_t end = (rootfs.find_last_not_of('\0') / 512 + 1) * 512;
    return rootfs.substr(0, end) + tar.finish();
}

TEST_F(ImageTest, a_kill_in_the_middle_of_an_import_leaves_nothing_half_and_it_can_be_repeated) {
    const std::string archive = write("many.tar", many_files(rootfs));
    const std::string tmp = node->state_dir() + "/plugins/storage/tmp";
    const auto unpacking = [&] {
        for (const auto& entry : fs::directory_iterator(tmp)) {
            std::error_code gone;
            const auto many = entry.path() / "tree/many";
            if (fs::exists(many, gone)) return true;
        }
        return false;
    };
    bool hit = false;
    for (int round = 0; round < 4; ++round) {
        Running client(node->command({"image", "import", archive, "many"}));
        for (int tries = 0; tries < 5000 && !unpacking(); ++tries) usleep(200);
        usleep(static_cast<useconds_t>(round) * 20'000);
        node->kill();
        const Ran ran = client.wait();
        node->start();
        if (ran.exit_code == 0) continue;   // too late: it was done
        hit = true;
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_NE(ran.err.find("lost the connection to noded"), std::string::npos) << ran.err;
        EXPECT_FALSE(unpacking());
        // Either nothing of it or all of it, if only the answer was lost.
        const size_t images = lines_of(node->ok({"images", "-q"})).size();
        EXPECT_TRUE(eventually([&] { return layers() == images && blobs() == images; }))
            << images << " images, " << layers() << " layers, " << blobs() << " blobs";
    }
    EXPECT_TRUE(hit);
    // Every import has an outcome, and so has every commit.
    const auto events = [&](const std::string& type) {
        return lines_of(node->ok({"events", "-o", "json", "--filter", "type=" + type})).size();
    };
    EXPECT_EQ(events("ImageImportRequested") + events("ContainerCommitRequested"),
              events("ImageImported") + events("ImageImportFailed"));
    node->ok({"image", "import", archive, "many"});
    EXPECT_EQ(run({"many", "sh", "-c", "ls /many | wc -l"}), std::to_string(kMany));
    EXPECT_EQ(layers(), 1u);
}

TEST_F(ImageTest, imports_at_the_same_time_all_succeed) {
    const std::string big = write("many.tar", many_files(rootfs));
    const std::string small = write("import.tar", rootfs);
    std::vector<std::unique_ptr<Running>> clients;
    for (int i = 0; i < 2; ++i) {
        for (const std::string& archive : {big, small}) {
            clients.push_back(std::make_unique<Running>(node->command(
                {"image", "import", archive, "at-once:" + std::to_string(clients.size())})));
        }
    }
    for (auto& client : clients) {
        const Ran ran = client->wait();
        EXPECT_EQ(ran.exit_code, 0) << ran.err;
    }
    EXPECT_EQ(layers(), 2u);
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(run({"at-once:" + std::to_string(i), "echo", "hello"}), "hello");
}

TEST_F(ImageTest, containers_start_while_an_import_is_under_way) {
    import_as("app");
    Running client(
        node->command({"image", "import", write("many.tar", many_files(rootfs)), "many"}));
    int started = 0;
    while (fs::exists("/proc/" + std::to_string(client.pid())) && started < 5) {
        EXPECT_EQ(run({"app", "echo", "hello"}), "hello");
        ++started;
    }
    EXPECT_EQ(client.wait().exit_code, 0);
    EXPECT_GT(started, 0);
}

}  // namespace
}  // namespace noded::test
