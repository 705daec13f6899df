// The terminal of `nodectl top`, see top_screen.h. The only file that includes ncurses.h.
#include "tools/nodectl/top_screen.h"

#include <langinfo.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define NCURSES_NOMACROS 1
#define NCURSES_WIDECHAR 1
#include <ncurses.h>

#include "tools/nodectl/units.h"

// term.h has this, and macros that are words of ours.
extern "C" int setupterm(const char* term, int fd, int* error);

namespace noded::nodectl {
namespace {

constexpr int kRowsMin = 12, kColumnsMin = 60;
constexpr int kHeadLines = 6;  ///< of the node, and an empty one
constexpr int kEscape = 27;
constexpr int control(char letter) { return letter & 31; }

enum Colour : short { kGreen = 1, kYellow, kRed, kDim };

constexpr const char* kHelp[] = {
    "  up, down, j, k       another container        q, Ctrl-C   leave",
    "  page up, page down   a page further           h, ?        this help",
    "  home, end            the first, the last      Ctrl-L      draw everything anew",
    "",
    "  s                    sort by the next column  r           turn the order around",
    "  c m t b p n          sort by CPU, memory, network (t), block I/O (b), PIDs, name",
    "  /                    show only those with this in name or image; Esc: show all again",
    "",
    "  Enter                look at a container: its output, its processes",
    "  Tab, l, p            there: output or processes; l: output, p: processes",
    "  Esc, Backspace       back to the list",
};

std::string cut(std::string text, size_t width) {
    if (text.size() > width) text.resize(width);
    return text + std::string(width - text.size(), ' ');
}

std::string percent(double value) {
    char text[32];
    snprintf(text, sizeof text, value < 99.95 ? "%.1f" : "%.0f", value);
    return text;
}

std::string right(const std::string& text, size_t width) {
    return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

std::string pair_of(double one, double other) {
    return right(short_number(one), 6) + right(short_number(other), 7);
}

}  // namespace

Status TopScreen::check_terminal() {
    const char* term = getenv("TERM");
    if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0)
        return fail("top without a container needs a terminal: for programs there are "
                    "'nodectl stats --no-stream' and 'nodectl top CONTAINER'");
    if (term == nullptr || *term == 0 || strcmp(term, "dumb") == 0)
        return fail("top cannot draw on this terminal (TERM is \"" +
                    std::string(term != nullptr ? term : "") +
                    "\"): 'nodectl stats' needs none that can do more than print");
    // initscr would end the program.
    int error = 0;
    if (setupterm(term, STDOUT_FILENO, &error) != OK)
        return fail("top cannot draw on this terminal: nothing is known of \"" +
                    std::string(term) + "\" here (TERM)");
    return {};
}

TopScreen::TopScreen() {
    setlocale(LC_ALL, "");
    utf8_ = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    initscr();
    raw();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(50);
    curs_set(0);
    coloured_ = has_colors() && getenv("NO_COLOR") == nullptr;
    if (!coloured_) return;
    start_color();
    use_default_colors();
    init_pair(kGreen, COLOR_GREEN, -1);
    init_pair(kYellow, COLOR_YELLOW, -1);
    init_pair(kRed, COLOR_RED, -1);
    init_pair(kDim, COLOR_CYAN, -1);
}

TopScreen::~TopScreen() { endwin(); }

void TopScreen::resized() {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0)
        resizeterm(size.ws_row, size.ws_col);
    redraw();
}

void TopScreen::redraw() { clearok(stdscr, TRUE); }

int TopScreen::colour_of(double value) const {
    if (!coloured_) return value >= 90 ? A_BOLD : 0;
    return COLOR_PAIR(value >= 90 ? kRed : value >= 60 ? kYellow : kGreen);
}

void TopScreen::put(int line, int column, const std::string& text, int attributes) {
    if (line < 0 || line >= LINES || column >= COLS) return;
    attron(attributes);
    mvaddnstr(line, column, text.c_str(), -1);
    attroff(attributes);
}

// --- Keys ----------------------------------------------------------------------------------------

bool TopScreen::take_keys(TopModel& model) {
    for (int key = getch(); key != ERR; key = getch()) {
        message.clear();
        if (key == KEY_RESIZE) continue;
        if (key == control('c')) return false;
        if (key == control('l')) redraw();
        else if (!take_key(key, model)) return false;
    }
    return true;
}

bool TopScreen::take_key(int key, TopModel& model) {
    if (help_) {
        help_ = false;
        return true;
    }
    if (filtering_) return take_filter_key(key, model);
    if (key == 'h' || key == '?') {
        help_ = true;
        return true;
    }
    return detail_.id.empty() ? take_list_key(key, model) : take_detail_key(key);
}

bool TopScreen::take_filter_key(int key, TopModel& model) {
    constexpr size_t kFilterMax = 64;
    if (key == kEscape) {
        model.filter = filter_before_;
        filtering_ = false;
    } else if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        filtering_ = false;
    } else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
        if (!model.filter.empty()) model.filter.pop_back();
    } else if (key >= 32 && key < 127 && model.filter.size() < kFilterMax) {
        model.filter += char(key);
    }
    return true;
}

bool TopScreen::take_detail_key(int key) {
    const int page = std::max(1, LINES - kHeadLines - 4);
    switch (key) {
        case 'q': return false;
        case kEscape:
        case KEY_BACKSPACE:
        case 127:
        case KEY_LEFT: detail_ = {}; break;
        case '\t':
        case 'l':
        case 'p':
            detail_.processes = key == '\t' ? !detail_.processes : key == 'p';
            detail_.lines.clear();
            detail_.trouble.clear();
            scroll_ = 0;
            break;
        case 'k':
        case KEY_UP: ++scroll_; break;
        case 'j':
        case KEY_DOWN: --scroll_; break;
        case KEY_PPAGE: scroll_ += page; break;
        case KEY_NPAGE: scroll_ -= page; break;
        case KEY_HOME: scroll_ = int(detail_.lines.size()); break;
        case KEY_END: scroll_ = 0; break;
    }
    scroll_ = std::clamp(scroll_, 0, std::max(0, int(detail_.lines.size()) - 1));
    return true;
}

void TopScreen::move_selection(int by, const TopModel& model) {
    const auto rows = model.rows();
    if (rows.empty()) return;
    const auto at = std::ranges::find(rows, selected_, &TopRow::id);
    const int now = at == rows.end() ? 0 : int(at - rows.begin());
    selected_ = rows[size_t(std::clamp(now + by, 0, int(rows.size()) - 1))]->id;
}

bool TopScreen::take_list_key(int key, TopModel& model) {
    constexpr int kAll = 1 << 20;
    const int page = std::max(1, LINES - kHeadLines - 2);
    switch (key) {
        case 'q': return false;
        case 'k':
        case KEY_UP: move_selection(-1, model); break;
        case 'j':
        case KEY_DOWN: move_selection(1, model); break;
        case KEY_PPAGE: move_selection(-page, model); break;
        case KEY_NPAGE: move_selection(page, model); break;
        case KEY_HOME: move_selection(-kAll, model); break;
        case KEY_END: move_selection(kAll, model); break;
        case 's': model.sort_next(); break;
        case 'r': model.reverse(); break;
        case 'c': model.sort_by(SortKey::cpu); break;
        case 'm': model.sort_by(SortKey::memory); break;
        case 't': model.sort_by(SortKey::net); break;
        case 'b': model.sort_by(SortKey::io); break;
        case 'p': model.sort_by(SortKey::pids); break;
        case 'n': model.sort_by(SortKey::name); break;
        case '/':
            filter_before_ = std::exchange(model.filter, "");
            filtering_ = true;
            break;
        case kEscape: model.filter.clear(); break;
        case '\n':
        case '\r':
        case KEY_RIGHT:
        case KEY_ENTER:
            move_selection(0, model);
            if (model.row(selected_) != nullptr) detail_.id = selected_;
            scroll_ = 0;
            break;
    }
    return true;
}

// --- Drawing -------------------------------------------------------------------------------------

void TopScreen::draw(const TopModel& model, const std::string& node_name) {
    erase();
    if (LINES < kRowsMin || COLS < kColumnsMin) {
        put(0, 0, "this terminal is too small: " + std::to_string(kColumnsMin) + " columns and " +
                      std::to_string(kRowsMin) + " lines are needed");
        refresh();
        return;
    }
    const bool knows_nothing = model.node().cpus == 0;  // there is no sample yet
    if (help_) {
        draw_help();
    } else if (knows_nothing) {
        put(0, 0, harmless(node_name, utf8_), A_BOLD);
        put(1, 0, "waiting for the first sample");
    } else {
        draw_head(model, node_name);
        if (detail_.id.empty()) draw_list(model);
        else draw_detail(model);
    }
    draw_foot(model);
    refresh();
}

void TopScreen::draw_head(const TopModel& model, const std::string& node_name) {
    const TopNode& node = model.node();
    char load[64];
    snprintf(load, sizeof load, "load %.2f %.2f %.2f", node.load[0], node.load[1], node.load[2]);
    put(0, 0, harmless(node_name, utf8_), A_BOLD);
    const std::string facts = "up " + human_duration(node.up_seconds) + "   " + load + "   " +
                              std::to_string(model.containers()) + " running";
    put(0, std::max(int(node_name.size()) + 3, COLS - int(facts.size()) - 1), facts);
    const auto width = size_t(std::clamp(COLS - 50, 10, int(History::kMax)));
    const double memory =
        node.memory_total > 0 ? double(node.memory_used) / double(node.memory_total) * 100 : 0;
    put(1, 0, "CPU    " + right(percent(node.cpu_percent), 5) + "% of " +
                  std::to_string(node.cpus));
    put(1, 32, node.cpu.line(width, 100, utf8_), colour_of(node.cpu_percent));
    put(2, 0, "memory " + right(percent(memory), 5) + "% of " + binary_size(node.memory_total));
    put(2, 32, node.memory.line(width, 100, utf8_), colour_of(memory));
    put(3, 0, "waits  " + right(percent(node.pressure_cpu), 5) + "% for CPU, " +
                  percent(node.pressure_memory) + "% for memory, " + percent(node.pressure_io) +
                  "% for disks");
    put(4, 0, "bytes/s  network " + pair_of(node.received_per_s, node.sent_per_s) + "   disks " +
                  pair_of(node.read_per_s, node.written_per_s));
    if (node.swap_total > 0)
        put(4, 60, "swap " + binary_size(node.swap_used) + " of " + binary_size(node.swap_total));
}

void TopScreen::draw_list(const TopModel& model) {
    const auto rows = model.rows();
    const int lines = LINES - kHeadLines - 2;
    const auto at = std::ranges::find(rows, selected_, &TopRow::id);
    int chosen = at == rows.end() ? 0 : int(at - rows.begin());
    if (!rows.empty() && at == rows.end()) selected_ = rows[0]->id;
    first_ = std::clamp(first_, std::max(0, chosen - lines + 1), chosen);
    first_ = std::clamp(first_, 0, std::max(0, int(rows.size()) - lines));
    std::string head = cut("NAME", 20) + right("CPU %", 8) + " " + cut("", 12) +
                       right("MEMORY", 10) + right("MEM %", 7) + right("RECEIVED", 9) +
                       right("SENT", 7) + right("READ", 7) + right("WRITTEN", 8) +
                       right("PIDS", 6) + right("THR %", 7);
    put(kHeadLines, 0, cut(head, size_t(COLS)), A_REVERSE);
    for (int i = 0; i < lines && first_ + i < int(rows.size()); ++i)
        draw_row(kHeadLines + 1 + i, *rows[size_t(first_ + i)], first_ + i == chosen);
    if (rows.empty())
        put(kHeadLines + 2, 2,
            model.containers() == 0 ? "no container runs" : "no container matches the filter");
}

void TopScreen::draw_row(int line, const TopRow& row, bool selected) {
    const int mark = selected ? A_REVERSE : 0;
    std::string name = harmless(row.name, false);
    put(line, 0, cut(name, 20) + right(percent(row.cpu_percent), 8) + " ", mark);
    put(line, 29, row.cpu.line(12, 0, utf8_), mark | colour_of(row.cpu_percent));
    put(line, 41, right(binary_size(row.memory), 10), mark);
    put(line, 51, right(percent(row.memory_percent), 7), mark | colour_of(row.memory_percent));
    put(line, 58, right(short_number(row.received_per_s), 9) +
                      right(short_number(row.sent_per_s), 7) +
                      right(short_number(row.read_per_s), 7) +
                      right(short_number(row.written_per_s), 8) +
                      right(std::to_string(row.pids), 6) +
                      right(percent(row.throttled_percent), 7),
        mark);
}

void TopScreen::draw_detail(const TopModel& model) {
    const TopRow* row = model.row(detail_.id);
    const std::string name = row != nullptr ? harmless(row->name, false) : short_id(detail_.id);
    put(kHeadLines, 0,
        cut(" " + name + (row != nullptr ? "  " + harmless(row->image, false) : " has ended") +
                (detail_.processes ? "   its processes (l: output)"
                                   : "   its output (p: processes)"),
            size_t(COLS)),
        A_REVERSE);
    if (row != nullptr)
        put(kHeadLines + 1, 0,
            "CPU " + percent(row->cpu_percent) + "%   memory " + binary_size(row->memory) + " of " +
                binary_size(row->memory_limit) + "   PIDs " + std::to_string(row->pids) +
                "   throttled " + percent(row->throttled_percent) + "%");
    const int lines = LINES - kHeadLines - 4;
    const int count = int(detail_.lines.size());
    const int end = detail_.processes
                        ? std::min(count, lines + std::max(0, count - lines - scroll_))
                        : std::max(0, count - scroll_);
    const int first = std::max(0, end - lines);
    for (int i = first; i < end; ++i)
        // What is inserted does not go on in the next line, which has another text.
        mvinsnstr(kHeadLines + 3 + i - first, 0, harmless(detail_.lines[size_t(i)], utf8_).c_str(),
                  -1);
    if (!detail_.trouble.empty()) put(kHeadLines + 3, 2, harmless(detail_.trouble, utf8_));
    else if (detail_.lines.empty()) put(kHeadLines + 3, 2, "there is nothing");
}

/// It takes the whole screen: the smallest one has no more lines.
void TopScreen::draw_help() {
    static_assert(std::size(kHelp) < kRowsMin);
    for (size_t i = 0; i < std::size(kHelp); ++i) put(int(i), 0, kHelp[i]);
}

void TopScreen::draw_foot(const TopModel& model) {
    std::string text;
    if (!message.empty()) text = message;
    else if (help_) text = "any key goes back";
    else if (filtering_) text = "show only: " + model.filter + "_   (Enter keeps it, Esc does not)";
    else if (!detail_.id.empty())
        text = "Esc back   Tab output or processes   arrows scroll   q leave";
    else
        text = std::string("sorted by ") + kSortNames[size_t(model.key())] +
               (model.reversed() ? " (turned around)" : "") +
               (model.filter.empty() ? "" : "   only \"" + model.filter + "\"") +
               "   h help   s sort   / filter   Enter look closer   q leave";
    put(LINES - 1, 0, cut(harmless(text, utf8_), size_t(COLS - 1)), A_BOLD);
}

}  // namespace noded::nodectl
