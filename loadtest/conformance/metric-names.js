// Names that metrics may and may not have.
// run: -e NAME=fine_1 => 0
// run: -e NAME=_fine => 0
// run: -e NAME=a => 107
// run: -e NAME=1st => 107
// run: -e NAME=with-dash => 107
// run: -e NAME=with.dot => 107
// run: -e NAME= => 107
// run: -e NAME=http_reqs => 0
// run: -e NAME=http_req_duration => 107
// run: -e NAME=iterations => 0
import { Counter } from 'k6/metrics';

const counter = new Counter(__ENV.NAME);

export default function () { counter.add(1); }
