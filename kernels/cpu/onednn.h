// The one wrapper around oneDNN: convolution and matrix product on the CPU, nothing else in the project includes it.
#pragma once

namespace tessera {

class OneDnn {};

}  // namespace tessera
