// What all pages share, as one file: each more would cost who looks through a slow link a round trip.
// The bundler adds it to every part.

import "./address";
import "./api";
import "./bundle";
import "./colours";
import "./depths";
import "./dom";
import "./format";
import "./pictures";
import "./scene/prefetch";
import "./signal";
