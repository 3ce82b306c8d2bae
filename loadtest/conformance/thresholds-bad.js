// Thresholds that make no sense.
// run: -e BAD=rates>1 => 104
// run: -e BAD=rate => 104
// run: -e BAD= => 104
// run: -e BAD=p(101)<1 => 104
// run: -e BAD=count<x => 104
// run: -e METRIC=nowhere -e BAD=count>1 => 104
// run: -e METRIC=http_req_duration -e BAD=rate>1 => 104
// run: -e METRIC=http_reqs -e BAD=value>1 => 104
// run: -e METRIC=http_reqs{status -e BAD=count>1 => 104
// run: -e METRIC=http_reqs{} -e BAD=count>1 => 104
// run: -e METRIC=http_reqs{status:200} -e BAD=count>=0 => 0
// run: --no-thresholds -e METRIC=nowhere -e BAD=count>1 => 0
export const options = { thresholds: { [__ENV.METRIC || 'checks']: [__ENV.BAD] } };

export default function () {}
