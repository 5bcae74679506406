/* All of base: what C lacks. Uses libc only. Each header below is public and says what it is. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include "base/arena.h"
#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/file.h"
#include "base/fsm.h"
#include "base/ip.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/places.h"
#include "base/str.h"
#include "base/trace.h"
#include "base/tree.h"
#include "base/vec.h"

#endif
