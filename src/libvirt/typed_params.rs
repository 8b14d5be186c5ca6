//! libvirt's typed parameters: a list to send, built from Rust values that it keeps alive, and a received array
//! turned into a map of owned values.
#![expect(
    unsafe_code,
    reason = "libvirt hands typed parameters over as C arrays of unions"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint};

use virt::error::Error;
use virt_sys as sys;

/// A list of parameters to send. A name may be there several times.
#[derive(Default)]
pub(super) struct Params {
    raw: Vec<sys::virTypedParameter>,
    /// What the strings in `raw` point to; never changed once it is in.
    texts: Vec<CString>,
}

impl Params {
    /// Adds a text.
    pub(super) fn text(&mut self, name: &CStr, value: &str) -> Result<(), Error> {
        let text = CString::new(value)?;
        let value = sys::_virTypedParameter__bindgen_ty_1 {
            s: text.as_ptr().cast_mut(),
        };
        self.push(name, sys::VIR_TYPED_PARAM_STRING, value);
        self.texts.push(text);
        Ok(())
    }

    /// Adds an `unsigned long long`.
    pub(super) fn unsigned(&mut self, name: &CStr, value: u64) {
        let value = sys::_virTypedParameter__bindgen_ty_1 { ul: value };
        self.push(name, sys::VIR_TYPED_PARAM_ULLONG, value);
    }

    /// Adds an `int`.
    pub(super) fn int(&mut self, name: &CStr, value: i32) {
        let value = sys::_virTypedParameter__bindgen_ty_1 { i: value };
        self.push(name, sys::VIR_TYPED_PARAM_INT, value);
    }

    fn push(
        &mut self,
        name: &CStr,
        kind: sys::virTypedParameterType,
        value: sys::_virTypedParameter__bindgen_ty_1,
    ) {
        let mut field: [c_char; 80] = [0; 80];
        // Every name is a constant of libvirt's and shorter than the field, whose last byte stays the end mark.
        for (place, byte) in field.iter_mut().take(79).zip(name.to_bytes()) {
            *place = byte.cast_signed() as c_char;
        }
        self.raw.push(sys::virTypedParameter {
            field,
            type_: kind.cast_signed(),
            value,
        });
    }

    /// The array and its length for a call that only reads it, good until `self` is changed or dropped.
    pub(super) fn as_raw(&mut self) -> (sys::virTypedParameterPtr, c_uint) {
        let count = c_uint::try_from(self.raw.len()).unwrap_or_default();
        (self.raw.as_mut_ptr(), count)
    }

    /// What a daemon would read.
    #[cfg(test)]
    pub(super) fn values(&mut self) -> Values {
        let (raw, count) = self.as_raw();
        // SAFETY: the array is `self`'s and nothing changes it during the call.
        unsafe { Values::copied(raw, count.cast_signed()) }
    }
}

/// One received value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `int` or `long long`.
    Signed(i64),
    /// `unsigned int` or `unsigned long long`.
    Unsigned(u64),
    /// `double`.
    Real(f64),
    /// `boolean`.
    Truth(bool),
    /// `string`.
    Text(String),
}

/// Received parameters by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Values(BTreeMap<String, Value>);

impl Values {
    /// Owned copies of an array that libvirt filled; the array is not freed.
    ///
    /// # Safety
    /// `params` is null or points to `count` initialised parameters whose strings end with a null byte.
    pub(super) unsafe fn copied(params: sys::virTypedParameterPtr, count: c_int) -> Self {
        let count = usize::try_from(count).unwrap_or_default();
        if params.is_null() || count == 0 {
            return Self::default();
        }
        // SAFETY: the caller promises `count` initialised parameters at `params`.
        let all = unsafe { std::slice::from_raw_parts(params, count) };
        let read = |param: &sys::virTypedParameter| {
            let bytes: Vec<u8> = param
                .field
                .iter()
                .take_while(|byte| **byte != 0)
                .map(|byte| byte.to_ne_bytes()[0])
                .collect();
            // SAFETY: the caller promises initialised parameters.
            let value = unsafe { value_of(param) }?;
            Some((String::from_utf8_lossy(&bytes).into_owned(), value))
        };
        Self(all.iter().filter_map(read).collect())
    }

    /// The value of that name.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for reading hosts, which is being added")
    )]
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The number of that name, if it is one and not negative.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Unsigned(number) => Some(*number),
            Value::Signed(number) => u64::try_from(*number).ok(),
            Value::Real(_) | Value::Truth(_) | Value::Text(_) => None,
        }
    }

    /// The text of that name.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for reading hosts, which is being added")
    )]
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The value of one parameter; `None` for a kind that this version does not know.
///
/// # Safety
/// The parameter is initialised, and a string in it is null or ends with a null byte.
unsafe fn value_of(param: &sys::virTypedParameter) -> Option<Value> {
    let value = &param.value;
    // SAFETY: `type_` says which field of the union libvirt filled.
    unsafe {
        match c_uint::try_from(param.type_).ok()? {
            sys::VIR_TYPED_PARAM_INT => Some(Value::Signed(i64::from(value.i))),
            sys::VIR_TYPED_PARAM_UINT => Some(Value::Unsigned(u64::from(value.ui))),
            sys::VIR_TYPED_PARAM_LLONG => Some(Value::Signed(value.l)),
            sys::VIR_TYPED_PARAM_ULLONG => Some(Value::Unsigned(value.ul)),
            sys::VIR_TYPED_PARAM_DOUBLE => Some(Value::Real(value.d)),
            sys::VIR_TYPED_PARAM_BOOLEAN => Some(Value::Truth(value.b != 0)),
            sys::VIR_TYPED_PARAM_STRING if !value.s.is_null() => {
                let text = CStr::from_ptr(value.s).to_string_lossy().into_owned();
                Some(Value::Text(text))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_read() {
        let mut params = Params::default();
        params.text(c"migrate_disks", "vda").unwrap();
        params.unsigned(c"bandwidth", u64::MAX);
        params.int(c"parallel.connections", -3);
        params.text(c"dname", "другая").unwrap();
        let read = params.values();
        assert_eq!(read.text("migrate_disks"), Some("vda"));
        assert_eq!(read.text("dname"), Some("другая"));
        assert_eq!(read.number("bandwidth"), Some(u64::MAX));
        assert_eq!(read.get("parallel.connections"), Some(&Value::Signed(-3)));
        assert_eq!(read.number("parallel.connections"), None);
    }

    #[test]
    fn no_parameters_come_as_a_null_array() {
        // SAFETY: null is allowed.
        let read = unsafe { Values::copied(std::ptr::null_mut(), 0) };
        assert_eq!(read, Values::default());
    }
}
