#include "backend/registry.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "backend/cpu_features.hpp"

namespace rnnfast {
#define RNNFAST_DECLARE(isa)         \
  namespace isa {                    \
  extern const api::Variant variant; \
  }
RNNFAST_DECLARE(scalar)
#if defined(__x86_64__)
RNNFAST_DECLARE(avx2)
RNNFAST_DECLARE(avx512)
#elif defined(__aarch64__)
RNNFAST_DECLARE(neon)
#endif
#undef RNNFAST_DECLARE
}  // namespace rnnfast

namespace rnnfast::backend {
namespace {

std::string names() {
  std::string list;
  for (const Entry& entry : compiled()) {
    list += (list.empty() ? "" : ", ") + std::string(entry.name) +
            (entry.supported() ? "" : " (not supported by this CPU)");
  }
  return list;
}

const api::Variant& find(const std::string& name, const std::string& asked_by) {
  for (const Entry& entry : compiled()) {
    if (name != entry.name) continue;
    if (entry.supported()) return entry.load();
    throw std::runtime_error(asked_by + "=" + name + ": this CPU cannot run it; compiled in: " + names());
  }
  throw std::runtime_error(asked_by + "=" + name + ": unknown instruction set; compiled in: " + names());
}

const api::Variant& choose() {
  const char* forced = std::getenv("RNNFAST_ISA");
  if (forced != nullptr && *forced != '\0') return find(forced, "RNNFAST_ISA");
  for (const Entry& entry : compiled()) {
    if (entry.supported()) return entry.load();
  }
  throw std::runtime_error("rnnfast: no variant runs on this CPU; compiled in: " + names());
}

std::atomic<const api::Variant*>& current() {
  static std::atomic<const api::Variant*> variant{&choose()};
  return variant;
}

}  // namespace

const std::vector<Entry>& compiled() {
  static const std::vector<Entry> entries = {
#if defined(__x86_64__)
    {"avx512", supports_avx512, []() -> const api::Variant& { return avx512::variant; }},
    {"avx2", supports_avx2, []() -> const api::Variant& { return avx2::variant; }},
#elif defined(__aarch64__)
    {"neon", supports_neon, []() -> const api::Variant& { return neon::variant; }},
#endif
    {"scalar", [] { return true; }, []() -> const api::Variant& { return scalar::variant; }},
  };
  return entries;
}

const api::Variant& active() { return *current().load(std::memory_order_relaxed); }

void use(const std::string& name) { current().store(&find(name, "variant"), std::memory_order_relaxed); }

}  // namespace rnnfast::backend
