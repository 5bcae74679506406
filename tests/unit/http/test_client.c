#include "tests/unit/tap.h"
