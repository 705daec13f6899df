// noded-gateway with a real node behind it: what HTTP clients get, what promtool says of it, what a
// real Prometheus makes of it, and whether the dashboards and rules in ops/ find what they ask for.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>

#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

using Json = nlohmann::json;

int connect_to(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

/// All of an answer that says how long it is.
bool is_whole(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    const size_t length = answer.find("Content-Length: ");
    return end != std::string::npos && length < end &&
           answer.size() - end - 4 >= strtoul(answer.c_str() + length + 16, nullptr, 10);
}

/// Head and body of what is answered; empty when nobody is there.
std::string request(int port, const std::string& text) {
    const int fd = connect_to(port);
    if (fd < 0) return "";
    std::string answer;
    char buffer[65536];
    (void)!write(fd, text.data(), text.size());
    for (ssize_t size = 0;
         !is_whole(answer) && (size = read(fd, buffer, sizeof buffer)) > 0;)
        answer.append(buffer, static_cast<size_t>(size));
    close(fd);
    return answer;
}

std::string get(int port, const std::string& path, const std::string& more = "") {
    return request(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more +
                             "\r\n");
}

std::string body_of(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    return end == std::string::npos ? "" : answer.substr(end + 4);
}

int free_port() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) abort();
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    close(fd);
    return ntohs(address.sin_port);
}

/// One gateway; the kernel chooses its port.
class Gateway {
public:
    explicit Gateway(const TestNode& node, const std::string& disk_usage_s = "60")
        : program_({built("tools/gateway/noded-gateway"), "--listen", "127.0.0.1:0", "--host",
                    "unix:" + node.runtime_dir() + "/noded.sock", "--disk-usage",
                    disk_usage_s}) {
        EXPECT_TRUE(program_.read_until("/metrics\n"));
        const size_t at = program_.out().rfind("127.0.0.1:");
        if (at != std::string::npos) port_ = atoi(program_.out().c_str() + at + 10);
    }
    int port() const { return port_; }
    std::string metrics() const { return body_of(get(port_, "/metrics")); }
    Running& program() { return program_; }

private:
    Running program_;
    int port_ = 0;
};

struct GatewayTest : SharedNodeTest {
    void run_web() {
        node->ok({"run", "-d", "--name", "web", "--label", "com.example/tier=front", "--memory",
                  "64m", "--cpus", "0.5", "busybox", "sh", "-c",
                  "while :; do /bin/busybox true; sleep 0.05; done"});
    }
};

TEST_F(GatewayTest, a_container_has_cadvisors_names_and_labels) {
    run_web();
    Gateway gateway(*node);
    const std::string text = gateway.metrics();
    const std::string id = node->ok({"inspect", "--format", "{{.Id}}", "web"});
    const std::string who = "{id=\"/noded/" + id +
                            "\",image=\"busybox\",name=\"web\","
                            "container_label_com_example_tier=\"front\"";
    EXPECT_TRUE(says(text, "\ncontainer_cpu_usage_seconds_total" + who + ",cpu=\"total\"} "))
        << text;
    EXPECT_TRUE(says(text, "\ncontainer_memory_working_set_bytes" + who + "} "));
    EXPECT_TRUE(
        says(text, "\ncontainer_network_receive_bytes_total" + who + ",interface=\"all\"} 0"));
    EXPECT_TRUE(says(text, "\ncontainer_spec_memory_limit_bytes" + who + "} 67108864\n"));
    EXPECT_TRUE(says(text, "\ncontainer_spec_cpu_quota" + who + "} 50000\n"));
    EXPECT_TRUE(says(text, "\ncontainer_spec_cpu_shares" + who + "} 1024\n"));
    EXPECT_TRUE(says(text, "\ncontainer_last_seen" + who + "} "));
    EXPECT_TRUE(says(text, "\ncontainer_cpu_usage_seconds_total{id=\"/\",cpu=\"total\"} "));
    EXPECT_TRUE(says(text, "\nnoded_containers{state=\"running\"} 1\n"));
    for (const char* name : {"machine_cpu_cores ", "machine_memory_bytes ", "node_load1 ",
                             "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} ",
                             "node_memory_MemAvailable_bytes ", "node_memory_Active_anon_bytes ",
                             "node_network_receive_bytes_total{device=\"lo\"} ",
                             "node_filesystem_size_bytes{device=\"", "node_boot_time_seconds ",
                             "node_disk_read_bytes_total{device=\"", "noded_events_total ",
                             "node_uname_info{sysname=\"Linux\",nodename=\""})
        EXPECT_TRUE(says(text, std::string("\n") + name)) << name;
}

TEST_F(GatewayTest, what_a_container_wrote_is_told_from_a_walk_beside_the_scrapes) {
    node->ok({"run", "-d", "--name", "writes", "busybox", "sh", "-c",
              "head -c 3000 /dev/zero > /file; echo written; sleep 1000"});
    ASSERT_TRUE(eventually([&] { return says(node->ok({"logs", "writes"}), "written"); }));
    const std::string id = node->ok({"inspect", "--format", "{{.Id}}", "writes"});
    const std::string who = "{id=\"/noded/" + id + "\",image=\"busybox\",name=\"writes\",device=\"";
    Gateway gateway(*node, "1"), never(*node, "0");
    EXPECT_FALSE(says(gateway.metrics(), "\ncontainer_fs_usage_bytes" + who)) << "it begins";
    EXPECT_FALSE(says(never.metrics(), "\ncontainer_fs_usage_bytes" + who));
    std::string text;
    const auto told = [&](const std::string& bytes) {
        return eventually([&] {
            text = gateway.metrics();
            const size_t at = text.find("\ncontainer_fs_usage_bytes" + who);
            const size_t space = at == std::string::npos ? at : text.find("\"} ", at);
            return space != std::string::npos && text.substr(space + 3, bytes.size() + 1) ==
                                                     bytes + "\n";
        }, 60);
    };
    EXPECT_TRUE(told("3000")) << text;
    node->ok({"exec", "writes", "sh", "-c", "head -c 2000 /dev/zero > /more"});
    EXPECT_TRUE(told("5000")) << text;
    EXPECT_TRUE(says(text, "\ncontainer_fs_limit_bytes" + who)) << text;
    EXPECT_FALSE(says(never.metrics(), "\ncontainer_fs_usage_bytes" + who));
    node->ok({"rm", "-f", "writes"});
    EXPECT_FALSE(says(gateway.metrics(), id));
}

TEST_F(GatewayTest, what_the_kernel_counted_is_told_where_it_counts) {
    const auto status = [&] { return node->ok({"call", "stats", "status"}); };
    ASSERT_TRUE(eventually([&] { return says(status(), "eBPF"); }));
    if (says(status(), "nothing is counted by eBPF")) GTEST_SKIP() << status();
    node->ok({"run", "-d", "--name", "busy", "--label", "\xc3\xbcn=1", "busybox", "sh", "-c",
              "while :; do dd if=/dev/zero of=/file bs=64k count=4 conv=fsync; nc 127.0.0.1 1; "
              "sleep 0.1; done"});
    node->ok({"run", "-d", "--name", "idle", "busybox", "sleep", "1000"});
    Gateway gateway(*node);
    std::string text;
    const auto value = [&](const std::string& name, const std::string& more) {
        for (const std::string& line : lines_of(text)) {
            const size_t end = line.find("} ");
            if (!line.starts_with(name + "{") || !says(line, "name=\"busy\"") || end == line.npos ||
                !line.substr(0, end).ends_with(more))
                continue;
            EXPECT_TRUE(says(line, ",container_label__n=\"1\"")) << line;
            return strtod(line.c_str() + end + 2, nullptr);
        }
        return -1.0;
    };
    const std::string connects = "noded_container_tcp_connects_total";
    ASSERT_TRUE(eventually([&] {
        text = gateway.metrics();
        return value(connects, "") > 1;
    }, 60)) << text;
    const bool on_disk = value("container_fs_writes_total", "device=\"\"") > 0;
    const std::string io = "noded_container_block_io_duration_seconds";
    if (!on_disk) GTEST_SKIP() << "containers are on no block device here";
    ASSERT_TRUE(eventually([&] {
        text = gateway.metrics();
        return value(io + "_count", "") > 1;
    }, 60)) << text;
    EXPECT_EQ(value(io + "_bucket", "le=\"+Inf\""), value(io + "_count", ""));
    EXPECT_GT(value(io + "_sum", ""), 0);
    double before = 0;
    for (const char* le : {"6.4e-05", "0.000256", "0.001024", "0.004096", "0.016384", "0.065536",
                           "0.262144", "1.048576", "4.194304", "+Inf"}) {
        const double now = value(io + "_bucket", std::string("le=\"") + le + "\"");
        EXPECT_GE(now, before) << le << "\n" << text;
        before = now;
    }
    for (const std::string& line : lines_of(text))
        EXPECT_FALSE(line.starts_with(io) && says(line, "name=\"idle\"")) << line;
}

TEST_F(GatewayTest, each_interface_of_a_containers_network_has_a_row) {
    node->ok({"run", "-d", "--name", "wired", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c",
              "ip link add eth0 type veth && ip link set eth0 up && "
              "ip link set veth0 up && echo up; sleep 1000"});
    ASSERT_TRUE(eventually([&] { return says(node->ok({"logs", "wired"}), "up"); }));
    node->ok({"run", "-d", "--name", "shares", "--network", "host", "busybox", "sleep", "1000"});
    Gateway gateway(*node);
    const auto rows = [&](const char* name) {
        std::string found;
        for (const std::string& line : lines_of(gateway.metrics())) {
            if (!line.starts_with("container_network_transmit_packets_dropped_total{")) continue;
            const size_t at = line.find(",interface=\"");
            if (!says(line, std::string("name=\"") + name + "\"") || at == line.npos) continue;
            found += line.substr(at + 12, line.find('"', at + 12) - at - 12) + " ";
        }
        return found;
    };
    EXPECT_TRUE(rows("wired") == "eth0 veth0 " || rows("wired") == "veth0 eth0 ") << rows("wired");
    EXPECT_TRUE(says(gateway.metrics(), "{id=\"/\",interface=\"lo\"}"));
}

TEST_F(GatewayTest, promtool_has_nothing_against_it) {
    run_web();
    Gateway gateway(*node);
    const Ran ran = run_program({"/usr/bin/promtool", "check", "metrics"}, gateway.metrics());
    // Neither node_exporter's memory nor cAdvisor's labels are in snake case there, and its inodes
    // are no counter.
    std::istringstream lines(ran.out + ran.err);
    for (std::string line; std::getline(lines, line);)
        EXPECT_TRUE(line.starts_with("node_memory_") ||
                    line.starts_with("cadvisor_version_info label") ||
                    line.starts_with("container_fs_inodes_total "))
            << line;
    EXPECT_TRUE(ran.exit_code == 0 || ran.exit_code == 3) << ran.exit_code;
}

TEST_F(GatewayTest, those_who_accept_openmetrics_get_it) {
    Gateway gateway(*node);
    const std::string answer = get(gateway.port(), "/metrics",
                                   "Accept: application/openmetrics-text;version=1.0.0,*/*\r\n");
    EXPECT_TRUE(says(answer, "application/openmetrics-text; version=1.0.0"))
        << answer.substr(0, 300);
    EXPECT_TRUE(says(answer, "# TYPE node_cpu_seconds counter\nnode_cpu_seconds_total{"));
    EXPECT_TRUE(answer.ends_with("# EOF\n"));
}

TEST_F(GatewayTest, other_requests_are_answered_by_a_sentence) {
    Gateway gateway(*node);
    const int port = gateway.port();
    EXPECT_TRUE(says(get(port, "/healthz"), "HTTP/1.1 200 OK")) << get(port, "/healthz");
    EXPECT_EQ(body_of(get(port, "/healthz")), "ok\n");
    EXPECT_TRUE(says(get(port, "/nothing"), "HTTP/1.1 404 Not Found"));
    EXPECT_TRUE(says(get(port, "/"), "/healthz"));
    const std::string posted =
        request(port, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    EXPECT_TRUE(says(posted, "HTTP/1.1 405 Method Not Allowed")) << posted;
    EXPECT_TRUE(says(posted, "Allow: GET, HEAD")) << posted;
    EXPECT_TRUE(says(request(port, "\x16\x03\x01 what is this\r\n\r\n"), "HTTP/1.1 501"));
    EXPECT_TRUE(says(get(port, "/healthz"), "200 OK"));
}

TEST_F(GatewayTest, too_many_connections_are_refused_and_those_that_are_there_go_on) {
    Gateway gateway(*node);
    std::vector<int> open;
    for (int i = 0; i < 64; ++i) open.push_back(connect_to(gateway.port()));
    // They are taken in turn, so the 64 count before this one is looked at.
    EXPECT_TRUE(says(get(gateway.port(), "/healthz"), "503 Service Unavailable"));
    EXPECT_TRUE(says(get(gateway.port(), "/healthz"), "too many connections"));
    for (const int fd : open) close(fd);
    EXPECT_TRUE(eventually([&] { return says(get(gateway.port(), "/healthz"), "200 OK"); }));
}

TEST_F(GatewayTest, a_wrong_command_line_says_what_is_wrong) {
    const std::string program = built("tools/gateway/noded-gateway");
    EXPECT_TRUE(says(run_program({program, "--help"}).out, "usage: noded-gateway"));
    EXPECT_EQ(run_program({program, "--nonsense"}).exit_code, 2);
    EXPECT_EQ(run_program({program, "what"}).exit_code, 2);
    const Ran host = run_program({program, "--host", "tcp://x"});
    EXPECT_EQ(host.exit_code, 2);
    EXPECT_TRUE(says(host.err, "a host is written as unix:PATH")) << host.err;
    const Ran nowhere = run_program({program, "--host", "unix:"});
    EXPECT_EQ(nowhere.exit_code, 2);
    EXPECT_TRUE(says(nowhere.err, "has no path")) << nowhere.err;
    for (const char* none : {"", "no-such-name.invalid:9480", "127.0.0.1:port"})
        EXPECT_TRUE(says(run_program({program, "--listen", none}).err,
                         "--listen takes ADDRESS:PORT, such as 127.0.0.1:9480"))
            << none;
    // An address that no other test has at this moment.
    std::random_device random;
    std::string address = "127";
    for (int i = 0; i < 3; ++i) address += "." + std::to_string(1 + random() % 250);
    Running default_port({program, "--listen", address});
    EXPECT_TRUE(default_port.read_until("http://" + address + ":9480/metrics\n"))
        << default_port.out();
    Gateway gateway(*node);
    const Ran taken =
        run_program({program, "--listen", "127.0.0.1:" + std::to_string(gateway.port())});
    EXPECT_EQ(taken.exit_code, 1);
    EXPECT_TRUE(says(taken.err, "ddress already in use")) << taken.err;
}

TEST(GatewayAlone, noded_away_is_an_answer_and_it_comes_back) {
    TestNode node;
    Gateway gateway(node);
    const std::string away = get(gateway.port(), "/metrics");
    EXPECT_TRUE(says(away, "HTTP/1.1 503 Service Unavailable")) << away;
    EXPECT_TRUE(says(away, "cannot reach noded at unix:")) << away;
    node.start();
    EXPECT_TRUE(says(gateway.metrics(), "\nnoded_info{"));
    EXPECT_EQ(body_of(get(gateway.port(), "/healthz")), "ok\n");
    node.kill();
    EXPECT_TRUE(says(get(gateway.port(), "/healthz"), "HTTP/1.1 503")) << "noded was killed";
    node.start();
    EXPECT_TRUE(says(gateway.metrics(), "\nnoded_info{")) << "the old connection is of no use";
    kill(gateway.program().pid(), SIGTERM);
    EXPECT_EQ(gateway.program().wait().exit_code, 0);
}

TEST(Dashboards, promtool_takes_the_rules) {
    const Ran ran = run_program({"/usr/bin/promtool", "check", "rules",
                                 built("ops/dashboards/noded-rules.yml")});
    EXPECT_EQ(ran.exit_code, 0) << ran.out << ran.err;
    EXPECT_TRUE(says(ran.out, "SUCCESS: ")) << ran.out;
}

// --- A real Prometheus ---------------------------------------------------------------------------

class Prometheus {
public:
    Prometheus(const std::string& dir, int gateway_port) : port_(free_port()) {
        std::ofstream(dir + "/prometheus.yml")
            << "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
               "rule_files: ['" + built("ops/dashboards/noded-rules.yml") + "']\n"
               "scrape_configs:\n- job_name: noded\n  static_configs:\n  - targets: ['127.0.0.1:" +
                   std::to_string(gateway_port) + "']\n";
        program_ = std::make_unique<Running>(std::vector<std::string>{
            "/usr/bin/prometheus", "--config.file=" + dir + "/prometheus.yml",
            "--storage.tsdb.path=" + dir + "/prometheus", "--log.level=error",
            "--web.listen-address=127.0.0.1:" + std::to_string(port_)});
    }
    Json ask(const std::string& path) const {
        return Json::parse(body_of(request(port_, "GET " + path + " HTTP/1.0\r\n\r\n")), nullptr,
                           false);
    }
    /// The values that an expression has now; nothing if Prometheus does not take it.
    std::optional<std::vector<std::string>> query(const std::string& expression) const {
        std::string escaped;
        for (const unsigned char c : expression) {
            char hex[4];
            snprintf(hex, sizeof hex, "%%%02x", c);
            escaped += hex;
        }
        const Json answer = ask("/api/v1/query?query=" + escaped);
        if (!answer.is_object() || answer["status"] != "success") return std::nullopt;
        std::vector<std::string> values;
        for (const Json& row : answer["data"]["result"]) values.push_back(row["value"][1]);
        return values;
    }
    bool becomes(const std::string& expression, const std::string& value) const {
        return eventually([&] {
            const auto values = query(expression);
            return values && *values == std::vector<std::string>{value};
        }, 30);
    }

private:
    const int port_;
    std::unique_ptr<Running> program_;
};

/// What a dashboard asks for, with all of its variables set to all.
std::vector<std::pair<std::string, std::string>> expressions_in(const std::string& dashboard) {
    const Json document = Json::parse(read_text(dashboard));
    std::vector<std::pair<std::string, std::string>> found;
    for (const Json& panel : document["panels"]) {
        for (const Json& target : panel["targets"]) {
            std::string text = target["expr"];
            for (const auto& [name, value] :
                 {std::pair("$instance", ".*"), std::pair("$container", ".*"),
                  std::pair("$__rate_interval", "10s")})
                for (size_t at = 0; (at = text.find(name)) != std::string::npos;)
                    text.replace(at, strlen(name), value);
            found.emplace_back(panel["title"], text);
        }
    }
    return found;
}

/// What dashboards for cAdvisor and node_exporter ask for.
constexpr const char* kAskedElsewhere[] = {
    "sum(rate(container_cpu_usage_seconds_total{name=~'.+'}[10s])) by (name) * 100",
    "sum(container_memory_rss{name=~'.+'}) by (name)",
    "sum(container_memory_cache{name=~'.+'}) by (name)",
    "sum(container_memory_usage_bytes{image!=''}) by (name)",
    "sum(rate(container_network_receive_bytes_total{name=~'.+'}[10s])) by (name)",
    "sum(rate(container_network_transmit_bytes_total{name=~'.+'}[10s])) by (name)",
    "rate(container_network_receive_bytes_total{id='/',interface!='lo'}[10s])",
    "sum(rate(container_fs_reads_bytes_total{name=~'.+'}[10s])) by (name)",
    "sum(rate(container_fs_writes_bytes_total{name=~'.+'}[10s])) by (name)",
    "sum(container_fs_usage_bytes{id='/'}) / sum(container_fs_limit_bytes{id='/'}) * 100",
    "sum(container_fs_inodes_free{id='/'}) / sum(container_fs_inodes_total{id='/'})",
    "sum(container_memory_working_set_bytes{id='/'}) / sum(machine_memory_bytes) * 100",
    "sum(rate(container_cpu_usage_seconds_total{id='/'}[10s])) / sum(machine_cpu_cores) * 100",
    "count(container_last_seen{image!=''})",
    "(time() - container_start_time_seconds{name=~'.+'}) / 86400",
    "container_spec_memory_limit_bytes{name=~'.+'}",
    "rate(container_cpu_cfs_throttled_seconds_total{name=~'.+'}[10s])",
    "100 - avg by (instance) (rate(node_cpu_seconds_total{mode='idle'}[10s])) * 100",
    "sum by (mode) (irate(node_cpu_seconds_total[10s]))",
    "(1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) * 100",
    "node_memory_MemTotal_bytes - node_memory_MemFree_bytes - node_memory_Cached_bytes - "
    "node_memory_Buffers_bytes",
    "100 - node_filesystem_avail_bytes{fstype!='tmpfs'} / node_filesystem_size_bytes * 100",
    "irate(node_network_receive_bytes_total[10s]) * 8",
    "irate(node_disk_read_bytes_total[10s])",
    "rate(node_disk_io_time_seconds_total[10s])",
    "node_time_seconds - node_boot_time_seconds",
    "scalar(node_load1) * 100 / count(count(node_cpu_seconds_total) by (cpu))",
    "rate(node_context_switches_total[10s])",
    "node_procs_running",
};

TEST_F(GatewayTest, a_real_prometheus_scrapes_it_and_the_dashboards_find_what_they_ask_for) {
    run_web();
    Gateway gateway(*node);
    const std::string dir = node->dir() + "/scraper";
    std::filesystem::create_directory(dir);
    {
        Prometheus prometheus(dir, gateway.port());
        ASSERT_TRUE(prometheus.becomes("up{job=\"noded\"}", "1"));
        ASSERT_TRUE(prometheus.becomes("noded_containers{state=\"running\"}", "1"));
        ASSERT_TRUE(eventually([&] {
            const auto values = prometheus.query(
                "rate(container_cpu_usage_seconds_total{name=\"web\"}[5s]) > 0");
            return values && values->size() == 1;
        }, 30));
        // Where the kernel lets nothing be counted there is no figure.
        const std::set<std::string> may_be_empty = {"Out of memory", "Pressure, some",
                                                    "CPU pressure"};
        for (const char* name : {"node", "containers"}) {
            const std::string file = built(std::string("ops/dashboards/") + name + ".json");
            for (const auto& [title, expression] : expressions_in(file)) {
                const auto values = prometheus.query(expression);
                EXPECT_TRUE(values.has_value()) << title << ": " << expression;
                EXPECT_TRUE(may_be_empty.contains(title) || (values && !values->empty()))
                    << title << " shows nothing: " << expression;
            }
        }
        for (const char* expression : kAskedElsewhere) {
            const auto has_rows = [&] {
                const auto values = prometheus.query(expression);
                return values && !values->empty();
            };
            EXPECT_TRUE(eventually(has_rows, 30)) << expression;
        }
        node->kill();
        EXPECT_TRUE(prometheus.becomes("up{job=\"noded\"}", "0"));
        node->start();
        EXPECT_TRUE(prometheus.becomes("up{job=\"noded\"}", "1"));
    }
    std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace noded::test
