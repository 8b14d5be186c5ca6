//! Real hosts, over libvirt: the only place that knows `virt` and `virt-sys`.
