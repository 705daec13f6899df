// What the log does for each record, part by part, under Google Benchmark: checksum, encoding, a
// batch filled and sealed, decoding. Together with bench/log/log_bench, which measures the whole
// with its disk, it shows where the time of an append goes.
//
// usage: log_parts [--benchmark_filter=REGEX] [other flags of Google Benchmark]
#include <benchmark/benchmark.h>

#include <vector>

#include "agent/base/crc32c.h"
#include "agent/log/batch.h"

namespace noded::log {
namespace {

constexpr size_t kPayloadBytes = 256;
constexpr size_t kBatchRecords = 500;
constexpr size_t kBatchBytes = 256 << 10;

Record record_of(uint64_t seq, const std::vector<uint64_t>& payload) {
    Record record;
    record.seq = seq;
    record.type = 1;
    record.payload = {reinterpret_cast<const uint8_t*>(payload.data()),
                      payload.size() * sizeof payload[0]};
    return record;
}

void crc32c_of(benchmark::State& state) {
    const std::vector<uint8_t> data(static_cast<size_t>(state.range(0)), 7);
    for (auto _ : state) benchmark::DoNotOptimize(crc32c(data));
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(crc32c_of)->Arg(256)->Arg(4096)->Arg(128 << 10);

void encode(benchmark::State& state) {
    const std::vector<uint64_t> payload(kPayloadBytes / 8, 7);
    const Record record = record_of(1, payload);
    AlignedBuffer into(kBlock);
    for (auto _ : state)
        benchmark::DoNotOptimize(encode_record(record, into.span(0, into.size())));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(encode);

void decode(benchmark::State& state) {
    const std::vector<uint64_t> payload(kPayloadBytes / 8, 7);
    AlignedBuffer bytes(kBlock);
    const size_t size = encode_record(record_of(1, payload), bytes.span(0, bytes.size()));
    const Bytes from = bytes.span(0, size);
    Record record;
    for (auto _ : state) {
        const auto read = decode_record(from, record);
        CHECK(read && *read == size);
        benchmark::DoNotOptimize(record);
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(decode);

/// All that comes before the write: records copied and checksummed, the batch masked and sealed.
void fill_and_seal(benchmark::State& state) {
    const std::vector<uint64_t> payload(kPayloadBytes / 8, 7);
    BatchBuffer batch(kBatchBytes);
    uint64_t seq = 0;
    int64_t bytes = 0;
    for (auto _ : state) {
        for (size_t i = 0; i < kBatchRecords; ++i) batch.append(record_of(++seq, payload));
        bytes += static_cast<int64_t>(batch.seal(Place{1, 1}, nullptr).size());
        batch.clear();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBatchRecords));
    state.SetBytesProcessed(bytes);
}
BENCHMARK(fill_and_seal);

}  // namespace
}  // namespace noded::log

BENCHMARK_MAIN();
